package fake

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// namespaceController is the actor of what happens to the content of a
// Namespace that is being deleted.
const namespaceController = "namespace-controller"

// FinalizeNamespace does what the namespace controller does for a Namespace
// that is being deleted: it deletes what the Namespace holds, and when nothing
// is left, the Namespace. Content that has finalizers stays, marked, and so
// does the Namespace; call it again later. [Cluster.Settle] does it by itself.
//
// The error is NotFound if there is no such Namespace, and a Conflict if it is
// not being deleted.
func (c *Cluster) FinalizeNamespace(ctx context.Context, name string) error {
	if err := apirules.CheckPath(object.Namespaces, "", name); err != nil {
		return err
	}
	ctx = WithActor(ctx, namespaceController)
	ns, err := c.terminating(name)
	if err != nil {
		return err
	}
	now := int64(0)
	for _, k := range object.Kinds {
		if !k.Namespaced {
			continue
		}
		for _, o := range c.content(k, name) {
			uid := o.GetUID()
			_, err := c.delete(ctx, k, name, o.GetName(), metav1.DeleteOptions{
				GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
			})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return err
			}
		}
	}
	action := &Action{Op: fault.Op{Verb: "update", Resource: object.Namespaces.Resource, Subresource: "finalize", Name: name}}
	return c.call(ctx, action, func() error {
		old, ok := c.state.Get(object.Namespaces, "", name)
		if !ok || old.GetUID() != ns.GetUID() || c.state.Count(name) > 0 {
			return nil
		}
		o := object.CopyOf(old).(*corev1.Namespace)
		o.Spec.Finalizers = nil
		if apirules.Gone(o) {
			c.expunge(object.Namespaces, old)
		} else if len(old.(*corev1.Namespace).Spec.Finalizers) > 0 {
			c.commit(object.Namespaces, o, old)
		}
		return nil
	})
}

func (c *Cluster) terminating(name string) (object.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.state.Get(object.Namespaces, "", name)
	if !ok {
		return nil, apierrors.NewNotFound(object.Namespaces.GroupResource(), name)
	}
	if o.GetDeletionTimestamp() == nil {
		return nil, apirules.Conflict(object.Namespaces, name, "the namespace is not being deleted")
	}
	return o, nil
}

// content returns the objects of kind k in a Namespace that a deletion has not
// reached yet.
func (c *Cluster) content(k *object.Kind, namespace string) []object.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(c.state.List(k, namespace), func(o object.Object) bool {
		return o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) > 0
	})
}
