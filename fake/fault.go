package fake

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/apirules"
)

// A Fault decides whether an [Op] fails: nil lets it through, and an error is
// returned to the caller instead of a response. Errors from [After], [Slow],
// [Stale] and [DropWatch], and the values [Conflict], [NotFound], [Timeout] and
// [AnswerLost], have a special meaning.
//
// Faults run under the Cluster's lock, in call order, so a counting Fault needs
// no lock of its own; it must not call the Cluster.
type Fault func(Op) error

// Inject adds a fault. Every fault sees every call, so that each counts for
// itself; the first one injected that returns an error decides.
func (c *Cluster) Inject(fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fault)
}

// ClearFaults removes all faults: the cluster has recovered.
func (c *Cluster) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// judge calls every fault with op.
func (c *Cluster) judge(op Op) outcome {
	return judge(c.faults, op)
}

func judge(faults []Fault, op Op) outcome {
	var first error
	for _, fault := range faults {
		if err := fault(op); err != nil && first == nil {
			first = err
		}
	}
	return decode(first, op)
}

// Nth fails the nth call, counted from 1, of verb on resource. An empty verb or
// resource stands for all; "pods/status" names a subresource.
func Nth(n int, verb, resource string, err error) Fault {
	calls := 0
	return when(fmt.Sprintf("call %d of %s", n, target(verb, resource)), err, func(op Op) bool {
		if !matches(op, verb, resource) {
			return false
		}
		calls++
		return calls == n
	})
}

// First fails the first n calls of verb on resource; see [Nth].
func First(n int, verb, resource string, err error) Fault {
	calls := 0
	return when(fmt.Sprintf("first %d of %s", n, target(verb, resource)), err, func(op Op) bool {
		if !matches(op, verb, resource) {
			return false
		}
		calls++
		return calls <= n
	})
}

// On fails every call of verb on resource; see [Nth].
func On(verb, resource string, err error) Fault {
	return when("every "+target(verb, resource), err, func(op Op) bool { return matches(op, verb, resource) })
}

// If fails every call for which match returns true. The description is shown
// in actions and failure messages.
func If(description string, match func(Op) bool, err error) Fault {
	return when(description, err, match)
}

// Any combines faults: every one sees every call, and the first in the list
// that returns an error decides.
func Any(faults ...Fault) Fault {
	return func(op Op) error {
		var first error
		for _, fault := range faults {
			if err := fault(op); err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

// StaleReads makes every get and list return the state of n revisions ago, like a
// cache that never catches up. Writes are not affected. A controller that retries on
// conflicts doesn't settle with it: use [Stale] with [On] or [First] for a few reads.
func StaleReads(n int) Fault {
	return when("every read", Stale(n), func(op Op) bool { return op.Verb == "get" || op.Verb == "list" })
}

// when returns a fault that fires if match says so, and says why it fired.
func when(description string, err error, match func(Op) bool) Fault {
	return func(op Op) error {
		if !match(op) {
			return nil
		}
		return &fired{description: description, err: err}
	}
}

func matches(op Op, verb, resource string) bool {
	name := op.Resource
	if op.Subresource != "" {
		name += "/" + op.Subresource
	}
	return (verb == "" || verb == op.Verb) && (resource == "" || resource == name)
}

func target(verb, resource string) string {
	if verb == "" {
		verb = "any verb"
	}
	if resource == "" {
		resource = "any resource"
	}
	return verb + " " + resource
}

// The errors below become the Status that the API server would return, with the
// resource and the name of the call that fails.
var (
	// Conflict answers 409, as after a concurrent write.
	Conflict error = &effect{text: "conflict", status: func(op Op) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: op.Resource}, op.Name, errors.New(apirules.OptimisticLock))
	}}
	// NotFound answers 404.
	NotFound error = &effect{text: "not found", status: func(op Op) error {
		return apierrors.NewNotFound(schema.GroupResource{Resource: op.Resource}, op.Name)
	}}
	// Timeout answers 504; the call did not happen.
	Timeout error = &effect{text: "timeout", status: timeout}
	// AnswerLost lets the call happen, and then answers 504: the caller can't
	// tell whether it did. See [After] for other errors.
	AnswerLost error = &effect{text: "answer lost", status: timeout, after: true}
)

func timeout(Op) error {
	return apierrors.NewTimeoutError("request did not complete within the allowed duration", 0)
}

// After returns an error that lets the call happen first, and then returns err to
// the caller instead of the response. [Conflict], [NotFound] and [Timeout] may be
// given as err.
func After(err error) error {
	return &effect{text: "the call happens, then " + err.Error(), after: true, status: func(op Op) error {
		return decode(err, op).err
	}}
}

// Slow returns an error that delays the call by d, or until its context is
// done. It is not an error to the caller.
func Slow(d time.Duration) error {
	return &effect{text: "slow by " + d.String(), wait: d}
}

// Stale returns an error that makes a read return the state of n revisions ago. It
// is not an error to the caller.
func Stale(n int) error {
	return &effect{text: fmt.Sprintf("%d revisions behind", n), lag: n}
}

// DropWatch returns an error that lets a watch begin and closes it after n
// events. See also [Cluster.DropWatches].
func DropWatch(n int) error {
	return &effect{text: fmt.Sprintf("dropped after %d events", n), drop: &n}
}

// effect is an error that tells call to do something.
type effect struct {
	text   string
	status func(Op) error // the error for the caller
	after  bool
	wait   time.Duration
	lag    int
	drop   *int
}

func (e *effect) Error() string { return e.text }

// fired is an error with the description of the fault that returned it.
type fired struct {
	description string
	err         error
}

func (f *fired) Error() string { return f.description + ": " + f.err.Error() }
func (f *fired) Unwrap() error { return f.err }

// outcome is what the faults decided about one call; the zero value lets it
// through.
type outcome struct {
	text  string
	err   error
	after bool
	wait  time.Duration
	lag   int
	drop  *int
}

func (o outcome) describe() string { return o.text }

// decode turns what a fault returned into what happens to op. The error that
// the caller gets is free of descriptions, like a server's.
func decode(err error, op Op) outcome {
	if err == nil {
		return outcome{}
	}
	out := outcome{text: "fault: " + err.Error()}
	for f, ok := err.(*fired); ok; f, ok = err.(*fired) {
		err = f.err
	}
	e, ok := err.(*effect)
	if !ok {
		out.err = err
		return out
	}
	out.after, out.wait, out.lag, out.drop = e.after, e.wait, e.lag, e.drop
	if e.status != nil {
		out.err = e.status(op)
	}
	return out
}
