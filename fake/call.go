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
	action.Actor = actorFrom(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.judge(action.Op)
	action.Fault = out.describe()
	if out.wait > 0 {
		c.mu.Unlock()
		err := sleep(ctx, out.wait)
		c.mu.Lock()
		if err != nil {
			return c.record(action, err)
		}
	}
	if out.err != nil && !out.after {
		return c.record(action, out.err)
	}
	action.lag, action.drop = out.lag, out.drop
	if err := do(); err != nil {
		return c.record(action, err)
	}
	return c.record(action, out.err)
}

func (c *Cluster) record(action *Action, err error) error {
	action.Err = err
	action.Revision = c.history.Last()
	c.actions = append(c.actions, *action)
	return err
}

// sleep waits for d or until ctx is done, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
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
