package fault

import (
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A Set has the faults of one API: the Cluster of package fake has one, and a fake
// of another API can have one, too. Its zero value is empty. It is not safe for
// concurrent use.
type Set struct {
	// Cache says that the calls are reads of a cache: get and list of objects,
	// and never stale on demand. Faults on other calls can't fire.
	Cache bool

	injected []*injection
	cleared  []*Fault // those of them that had not fired
}

// injection is a fault with its state.
type injection struct {
	fault *Fault
	calls int // how many it was about
	fired bool
}

// Inject adds a fault. Every fault sees every call, so that each counts for
// itself; the first one injected that returns an error decides. It panics if f is
// nil or can't fire here.
func (s *Set) Inject(f *Fault) {
	if f == nil {
		panic("fault: Inject: the fault is nil")
	}
	for _, part := range f.parts() {
		if part.description == "" && part.err == nil && part.decide == nil {
			panic("fault: Inject: the fault is empty, want one of the constructors")
		}
		if s.Cache && !part.reads() {
			panic(fmt.Sprintf("fault: Inject: %q can't fire here: a cache has only get and list, and is stale only by itself", part))
		}
	}
	for _, part := range f.parts() {
		s.injected = append(s.injected, &injection{fault: part})
	}
}

// reads reports whether f can be about a read of a cache.
func (f *Fault) reads() bool {
	if e, ok := f.err.(*effect); ok && e.lag > 0 {
		return false
	}
	for _, c := range object.Calls() {
		if c.Cached && (f.verb == "" || f.verb == c.Verb) && (f.resource == "" || f.resource == c.Resource) && (f.err == nil || affects(f.err, c.Verb, c.Resource)) {
			return true
		}
	}
	return false
}

// Clear removes all faults: the API has recovered. [Set.Unfired] still knows
// those that never fired.
func (s *Set) Clear() {
	s.cleared, s.injected = s.Unfired(), nil
}

// Unfired returns the faults that never fired, in the order in which they were
// injected, cleared ones included: those of [Any] one by one. A fault has fired if
// it decided about a call, not if another one did before it.
func (s *Set) Unfired() []*Fault {
	unfired := append([]*Fault(nil), s.cleared...)
	for _, in := range s.injected {
		if !in.fired {
			unfired = append(unfired, in.fault)
		}
	}
	return unfired
}

// An Outcome is what faults decided about one call. The zero value lets it
// through.
type Outcome struct {
	Description string        // of the fault and its error; "" without a fault
	Err         error         // what the caller gets
	After       bool          // the call happens before the caller gets Err
	Wait        time.Duration // how long the call is delayed
	Lag         int           // how many revisions back a read looks
	Drop        *int          // after how many events a watch is dropped; nil for never
}

// Decide asks every fault about op.
func (s *Set) Decide(op Op) Outcome {
	var by *injection
	var first error
	for _, in := range s.injected {
		if !in.fault.concerns(op) {
			continue
		}
		in.calls++
		if err := in.fault.fails(op, in.calls); err != nil && first == nil {
			by, first = in, err
		}
	}
	if first == nil {
		return Outcome{}
	}
	by.fired = true
	out := Outcome{Description: by.fault.description + ": " + first.Error(), Err: statusOf(first, op)}
	if e, ok := first.(*effect); ok {
		out.After, out.Wait, out.Lag, out.Drop = e.after, e.wait, e.lag, e.drop
	}
	return out
}
