package fake

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// delete removes an object, or marks it if something keeps it: finalizers, a
// grace period, the content of a Namespace. It returns the last state.
func (c *Cluster) delete(ctx context.Context, k *object.Kind, namespace, name string, opts metav1.DeleteOptions) (last object.Object, err error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, err
	}
	action := &Action{Op: fault.Op{Verb: "delete", Resource: k.Resource, Namespace: namespace, Name: name, Preconditions: opts.Preconditions.DeepCopy()}}
	err = c.call(ctx, action, func() error {
		if err := apirules.CheckDryRun(opts.DryRun); err != nil {
			return err
		}
		old, exists := c.state.Get(k, namespace, name)
		if !exists {
			return apierrors.NewNotFound(k.GroupResource(), name)
		}
		if err := apirules.CheckPreconditions(k, old, opts.Preconditions); err != nil {
			return err
		}
		if k == object.Namespaces && apirules.IsImmortal(name) {
			return apierrors.NewForbidden(k.GroupResource(), name, fmt.Errorf("this namespace may not be deleted"))
		}
		last = c.markOrRemove(k, old, opts)
		return nil
	})
	return last, err
}

// markOrRemove takes the next step of a deletion, and returns what the API
// server answers: a Pod that goes is marked, other objects are as they were. An
// Object that is marked already stays as it is, but a Pod may get less time.
func (c *Cluster) markOrRemove(k *object.Kind, old object.Object, opts metav1.DeleteOptions) object.Object {
	o := apirules.Marked(old, opts.GracePeriodSeconds, c.now().Time)
	last, dryRun := old, len(opts.DryRun) > 0
	switch {
	case apirules.Gone(o):
		if !dryRun {
			last = c.expunge(k, old) // watches see it without the mark
		}
		if k == object.Pods {
			o.SetResourceVersion(last.GetResourceVersion())
			last = o
		}
	case old.GetDeletionTimestamp() != nil && apirules.EqualGrace(old, o):
	default:
		if !dryRun {
			c.commit(k, o, old)
		}
		last = o
	}
	return last
}
