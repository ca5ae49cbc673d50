package fake

import (
	"context"
	"time"
)

// call runs one API call: it honours ctx, asks the faults, runs do under the
// lock and records what happened. do fills in the action's name and revision.
func (c *Cluster) call(ctx context.Context, action *Action, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decided(ctx, action, do)
}

// decided does what the faults decide about action, with do if it happens.
func (c *Cluster) decided(ctx context.Context, action *Action, do func() error) error {
	action.Actor = actorFrom(ctx)
	out := c.faults.Decide(action.Op)
	if out.Description != "" {
		action.Fault = "fault: " + out.Description
	}
	if err := c.delay(ctx, out.Wait); err != nil {
		return c.record(action, err)
	}
	if out.Err != nil && !out.After {
		return c.record(action, out.Err)
	}
	inherited, _ := ctx.Value(lagKey{c}).(int)
	action.lag, action.drop = max(out.Lag, inherited), out.Drop
	if err := do(); err != nil {
		return c.record(action, err)
	}
	return c.record(action, out.Err)
}

func (c *Cluster) record(action *Action, err error) error {
	action.Err = err
	action.Revision = c.history.Last()
	c.actions = append(c.actions, *action)
	return err
}

// delay waits for d or until ctx is done, whichever comes first, without the lock.
func (c *Cluster) delay(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

type actorKey struct{}

// WithActor returns a context whose calls are recorded as those of actor, in
// [Op.Actor]. [Cluster.Settle] does it for controllers.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actorFrom(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}
