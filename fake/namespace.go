package fake

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaceController is the actor of what happens to the content of a
// Namespace that is being deleted.
const namespaceController = "namespace-controller"

func prepareNamespace(o object) {
	ns := o.(*corev1.Namespace)
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	labelNamespace(ns)
}

func prepareNamespaceUpdate(o, old object) {
	ns, before := o.(*corev1.Namespace), old.(*corev1.Namespace)
	ns.Spec.Finalizers = slices.Clone(before.Spec.Finalizers)
	ns.Status = *before.Status.DeepCopy()
	labelNamespace(ns)
}

func labelNamespace(ns *corev1.Namespace) {
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

// isImmortal reports whether the API server refuses to delete the Namespace.
func isImmortal(name string) bool {
	return name == metav1.NamespaceDefault || name == metav1.NamespaceSystem || name == metav1.NamespacePublic
}

// checkNamespace refuses to create o in a Namespace that doesn't exist or is
// being deleted.
func (c *Cluster) checkNamespace(k *kind, o object) error {
	if !k.namespaced {
		return nil
	}
	found, ok := c.state.get(namespaces, "", o.GetNamespace())
	if !ok {
		return apierrors.NewNotFound(namespaces.groupResource(), o.GetNamespace())
	}
	if ns := found.(*corev1.Namespace); ns.DeletionTimestamp == nil && ns.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	err := apierrors.NewForbidden(k.groupResource(), o.GetName(),
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", o.GetNamespace()))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", o.GetNamespace()),
		Field:   "metadata.namespace",
	})
	return err
}

// FinalizeNamespace does what the namespace controller does for a Namespace
// that is being deleted: it deletes what the Namespace holds, and when nothing
// is left, the Namespace. Content that has finalizers stays, marked, and so
// does the Namespace; call it again later. [Cluster.Settle] does it by itself.
//
// The error is NotFound if there is no such Namespace, and a Conflict if it is
// not being deleted.
func (c *Cluster) FinalizeNamespace(ctx context.Context, name string) error {
	if err := checkPath(namespaces, "", name); err != nil {
		return err
	}
	ctx = As(ctx, namespaceController)
	ns, err := c.terminating(name)
	if err != nil {
		return err
	}
	now := int64(0)
	for _, k := range kinds {
		if !k.namespaced {
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
	action := &Action{Op: Op{Verb: "update", Resource: namespaces.resource, Subresource: "finalize", Name: name}}
	return c.call(ctx, action, func() error {
		old, ok := c.state.get(namespaces, "", name)
		if !ok || old.GetUID() != ns.GetUID() || c.state.count(name) > 0 {
			return nil
		}
		o := copyOf(old).(*corev1.Namespace)
		o.Spec.Finalizers = nil
		if gone(namespaces, o) {
			c.expunge(namespaces, old)
		} else if len(old.(*corev1.Namespace).Spec.Finalizers) > 0 {
			c.commit(namespaces, o, old)
		}
		return nil
	})
}

func (c *Cluster) terminating(name string) (object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.state.get(namespaces, "", name)
	if !ok {
		return nil, apierrors.NewNotFound(namespaces.groupResource(), name)
	}
	if o.GetDeletionTimestamp() == nil {
		return nil, conflict(namespaces, name, "the namespace is not being deleted")
	}
	return o, nil
}

// content returns the objects of kind k in a Namespace that a deletion has not
// reached yet.
func (c *Cluster) content(k *kind, namespace string) []object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(c.state.list(k, namespace), func(o object) bool {
		return o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) > 0
	})
}
