package server

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A call is an Action while it is answered.
type call struct {
	Action
	kind *object.Kind        // nil for those about no kind, or all
	opts metav1.PatchOptions // of a write: creates and updates have some of them
	lag  int                 // how many revisions back a read looks
	drop *int                // after how many events a watch is dropped

	// Set by a server-side apply, which knows who owns what.
	applied bool
	owned   []metav1.ManagedFieldsEntry

	finalizers []corev1.FinalizerName // of a Namespace, as they were sent
}

// callOf returns a call about objects of kind k.
func callOf(k *object.Kind, op fault.Op) *call {
	op.Resource = k.Resource
	return &call{Action: Action{Op: op}, kind: k}
}

// answer returns what do answers to one call, or nothing with an error.
func answer[T any](ctx context.Context, s *Server, c *call, do func() (T, error)) (T, error) {
	var answer, nothing T
	err := s.run(ctx, c, func() (err error) {
		answer, err = do()
		return err
	})
	if err != nil {
		return nothing, err
	}
	return answer, nil
}

// run answers one call: it honours ctx, asks the faults, runs do under the lock and
// records what happened. do fills in the call's name.
func (s *Server) run(ctx context.Context, c *call, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Actor = actorFrom(ctx)
	out := s.Faults.set.Decide(c.Op)
	if out.Description != "" {
		c.Fault = "fault: " + out.Description
	}
	if err := s.delay(ctx, out.Wait); err != nil {
		return s.record(c, err)
	}
	if out.Err != nil && !out.After {
		return s.record(c, out.Err)
	}
	inherited, _ := ctx.Value(lagKey{s}).(int)
	c.lag, c.drop = max(out.Lag, inherited), out.Drop
	if err := do(); err != nil {
		return s.record(c, err)
	}
	return s.record(c, out.Err)
}

func (s *Server) record(c *call, err error) error {
	c.Err = err
	c.Revision = s.history.Last()
	s.actions = append(s.actions, c.Action)
	return err
}

// delay waits for d or until ctx is done, whichever comes first, without the lock.
func (s *Server) delay(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// apiServer is the actor of what an API server looks up to answer a call.
const apiServer = "kube-apiserver"

// Do answers a call that is about no stored object with do, without the lock, or as a
// fault wants it. What do calls with its context has another actor, and is as stale as a
// fault makes op.
func (s *Server) Do(ctx context.Context, op fault.Op, do func(ctx context.Context) error) error {
	resource := op.Resource
	if op.Subresource != "" {
		resource += "/" + op.Subresource
	}
	if !object.Has(op.Verb, resource) {
		return fmt.Errorf("fake: the API has no %s of %s", op.Verb, resource)
	}
	c := &call{Action: Action{Op: op}}
	return s.run(ctx, c, func() error {
		s.mu.Unlock()
		defer s.mu.Lock()
		return do(context.WithValue(WithActor(ctx, apiServer), lagKey{s}, c.lag))
	})
}

// lagKey is the key of how stale the reads of a Server are in a context.
type lagKey struct{ server *Server }

type actorKey struct{}

// WithActor returns a context whose calls are those of actor.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actorFrom(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}
