package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/fake/internal/server"
	"github.com/kubesa/serviceaccount/fake/internal/settle"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Settle drives controllers until nothing is left to do: it tells them what
// changed, reconciles the keys that are due, retries those that fail, and
// finalizes Namespaces that are being deleted. It uses no goroutine and no
// clock, and does the same steps in the same order every time, unless
// [Cluster.Shuffle] asks for another order.
//
// The changes, and so the keys, are of the tenant that ctx names: a cluster can be one of
// many that a controller is driven for, one after the other. A resync that the controller
// asks for reaches the first that is settled; see [Cluster.Forget] for the others.
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
// [*LivelockError] if controllers kept writing. Keys that failed are tried again by the
// next Settle. Calls of Settle wait for each other.
func (c *Cluster) Settle(ctx context.Context, controllers ...sacontroller.Controller) error {
	failed, err := c.settler.Settle(ctx, world{c.api()}, c.watchWrites, controllers...)
	if err != nil || len(failed) == 0 {
		return err
	}
	e := new(UnsettledError)
	for _, f := range failed {
		e.Failed = append(e.Failed, FailedKey(f))
	}
	return e
}

// Forget makes the next [Cluster.Settle] start controller afresh, as after a
// restart of its process: with an Added event for every object that exists, and
// without memory of failures and of deletions that it has not received.
func (c *Cluster) Forget(controller sacontroller.Controller) { c.settler.Forget(controller) }

// Shuffle makes [Cluster.Settle] take controllers and keys in an order that
// depends on seed only: another seed is another order that real workers could
// have had. Run a test with many seeds to find what depends on the order.
func (c *Cluster) Shuffle(seed uint64) { c.settler.Shuffle(seed) }

// Disturb makes [Cluster.Settle] deliver changes to controllers as informers
// may: late, twice, in another order for different objects, or after a watch
// was lost and everything listed again, so that what happened in between shows
// only in its result: an object that was deleted and created again looks
// modified, and a deletion shows the state that was known before. Which of
// these happens when depends on seed only. Every change is delivered in the end.
func (c *Cluster) Disturb(seed uint64) { c.settler.Disturb(seed) }

// A Waiting key asked to be reconciled again later.
type Waiting struct {
	Controller string
	Key        sacontroller.Key
	At         time.Time // by the cluster's clock
}

// Waiting returns the keys that asked to be reconciled again later, in the
// order of their controllers and of their requests.
func (c *Cluster) Waiting() []Waiting {
	var all []Waiting
	for _, w := range c.settler.Waiting() {
		all = append(all, Waiting(w))
	}
	return all
}

// A world is what a settler sees of a Cluster.
type world struct{ *server.Server }

func (world) WithActor(ctx context.Context, controller string) context.Context {
	return WithActor(ctx, controller)
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
	fmt.Fprintf(&b, "fake: %d keys still fail after %d attempts", len(e.Failed), settle.MaxFailures)
	if slices.ContainsFunc(e.Failed, func(f FailedKey) bool { return sacontroller.IsTerminal(f.Err) }) {
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
