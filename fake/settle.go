package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// The bounds of a Settle.
const (
	// maxFailures is how often in a row a key may fail before Settle gives up
	// on it. Tests of outages need many, and time costs nothing here.
	maxFailures = 250
	// patience is how often in a row a key fails before caches catch up: retries
	// have a back-off, and no cache is stale for that long.
	patience = 10
	// maxWrites is how often one object may be written.
	maxWrites = 100
	// stepsPerObject bounds the Reconcile calls, besides a constant.
	stepsPerObject = 2 * maxFailures
)

// Settle drives controllers until nothing is left to do: it tells them what
// changed, reconciles the keys that are due, retries those that fail, and
// finalizes Namespaces that are being deleted. It uses no goroutine and no
// clock, and does the same steps in the same order every time, unless
// [Cluster.Shuffle] asks for another order.
//
// The changes, and so the keys, are of the tenant that ctx names: a cluster can be one of
// many that a controller is driven for.
//
// A controller that is driven for the first time gets an Added event for every
// object that exists. After that it gets what changed since, deletions
// included, also across calls of Settle.
//
// Waits are not slept. A key with a RequeueAfter is reconciled again when
// everything else is quiet and something changed since, or when a later Settle
// finds that Now has reached its time; [Cluster.Waiting] tells what is left. After
// a [sacontroller.Yield] it is reconciled again once the other keys had their turn.
//
// The error is ctx's, an [*UnsettledError] if keys still failed after many
// attempts or had a [sacontroller.TerminalError], which is not retried, or a
// [*LivelockError] if controllers kept writing. Keys that failed are tried again by the next Settle. Calls of Settle wait for each other.
func (c *Cluster) Settle(ctx context.Context, controllers ...sacontroller.Controller) error {
	leave, err := c.enterSettle(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s := &settling{cluster: c, writes: map[written]int{}}
	c.mu.Lock()
	s.start = len(c.actions)
	objects := 0
	for _, k := range object.Kinds {
		objects += len(c.state.List(k, ""))
	}
	c.mu.Unlock()
	s.budget = stepsPerObject * (20 + objects)
	for _, controller := range controllers {
		d := c.driverOf(controller)
		d.retry()
		s.drivers = append(s.drivers, d)
	}
	return s.run(ctx)
}

// enterSettle waits until no other Settle runs.
func (c *Cluster) enterSettle(ctx context.Context) (leave func(), err error) {
	c.mu.Lock()
	if c.settling == nil {
		c.settling = make(chan struct{}, 1)
	}
	turn := c.settling
	c.mu.Unlock()
	select { // a turn that is free is taken although ctx may be done
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	default:
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// settling is one run of Settle.
type settling struct {
	cluster *Cluster
	drivers []*driver
	start   int // where its actions start
	checked int // how many of its actions were counted
	budget  int // how many steps are left
	writes  map[written]int
}

// written names an object that was written.
type written struct{ resource, namespace, name string }

func (s *settling) run(ctx context.Context) error {
	for {
		busy, err := s.round(ctx)
		if err != nil {
			return err
		}
		if busy {
			continue
		}
		finalized, err := s.finalizeNamespaces(ctx)
		if err != nil {
			return err
		}
		caughtUp := s.cluster.catchUp()
		woken := false
		for _, d := range s.drivers {
			woken = d.wake(s.cluster, caughtUp) || woken
		}
		if !finalized && !woken {
			return s.failures()
		}
	}
}

// round lets every controller see what changed and do one step. It reports
// whether anybody had something to do.
func (s *settling) round(ctx context.Context) (busy bool, err error) {
	for _, d := range s.drivers {
		busy = busy || d.busy(s.cluster)
	}
	if !busy {
		return false, nil
	}
	if s.cluster.shuffler.chance(8) {
		if _, err := s.finalizeNamespaces(ctx); err != nil {
			return false, err
		}
	}
	for _, d := range s.cluster.shuffler.order(s.drivers) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		d.hear(ctx, s.cluster)
		if len(d.queue) == 0 {
			continue
		}
		if d.step(ctx, s.cluster) {
			s.budget-- // failures have a bound of their own
		}
		if err := s.check(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// check counts what was done, and finds the cycle if it was too much.
func (s *settling) check() error {
	c := s.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	// ClearActions may have been called in between.
	s.start = min(s.start, len(c.actions))
	s.checked = min(max(s.checked, s.start), len(c.actions))
	livelock := s.budget <= 0
	for _, a := range c.actions[s.checked:] {
		if a.IsWrite() && a.Err == nil {
			key := written{a.Resource, a.Namespace, a.Name}
			s.writes[key]++
			livelock = livelock || s.writes[key] > maxWrites
		}
	}
	s.checked = len(c.actions)
	if !livelock {
		return nil
	}
	writes := slices.DeleteFunc(slices.Clone(c.actions[s.start:]), func(a Action) bool { return !a.IsWrite() })
	return &LivelockError{Writes: len(writes), Cycle: cycleOf(writes)}
}

func (s *settling) finalizeNamespaces(ctx context.Context) (changed bool, err error) {
	c := s.cluster
	c.mu.Lock()
	var names []string
	for _, o := range c.state.List(object.Namespaces, "") {
		if o.GetDeletionTimestamp() != nil && len(o.(*corev1.Namespace).Spec.Finalizers) > 0 {
			names = append(names, o.GetName())
		}
	}
	before := c.history.Last()
	c.mu.Unlock()
	for _, name := range names {
		if err := c.FinalizeNamespace(ctx, name); err != nil {
			return false, fmt.Errorf("fake: finalizing namespace %s: %w", name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history.Last() > before, nil
}

func (s *settling) failures() error {
	var failed []FailedKey
	for _, d := range s.drivers {
		failed = append(failed, d.unsettled()...)
	}
	if len(failed) == 0 {
		return nil
	}
	return &UnsettledError{Failed: failed}
}

// catchUp lets every lagging Reader see everything, and reports whether one
// did.
func (c *Cluster) catchUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	any := false
	for _, r := range c.readers {
		if r.seen < c.history.Last() {
			any = any || r.lag > 0
			r.advanceTo(c.history.Last())
		}
	}
	return any
}

// A FailedKey is a key that didn't succeed.
type FailedKey struct {
	Controller string
	Key        sacontroller.Key
	Err        error // of the last attempt
}

// An UnsettledError reports the keys that [Cluster.Settle] gave up on.
type UnsettledError struct {
	Failed []FailedKey
}

func (e *UnsettledError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fake: %d keys still fail after %d attempts", len(e.Failed), maxFailures)
	if slices.ContainsFunc(e.Failed, func(f FailedKey) bool { return isTerminal(f.Err) }) {
		b.WriteString(" or can't succeed until an object changes")
	}
	b.WriteByte(':')
	for i, f := range e.Failed {
		if i == 10 {
			fmt.Fprintf(&b, "\n\tand %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "\n\t%s: %s: %v", f.Controller, f.Key, f.Err)
	}
	return b.String()
}

// Unwrap returns the errors of the last attempts.
func (e *UnsettledError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, f := range e.Failed {
		errs = append(errs, f.Err)
	}
	return errs
}

func isTerminal(err error) bool {
	_, ok := errors.AsType[*sacontroller.TerminalError](err)
	return ok
}

// A Waiting key asked to be reconciled again later.
type Waiting struct {
	Controller string
	Key        sacontroller.Key
	At         time.Time // by the cluster's clock
}

// Waiting returns the keys that asked to be reconciled again later, in the
// order of their controllers and of their requests.
func (c *Cluster) Waiting() []Waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Waiting
	for _, d := range c.drivers {
		for _, w := range d.waiting {
			all = append(all, Waiting{d.controller.Name(), w.key, w.at})
		}
	}
	return all
}
