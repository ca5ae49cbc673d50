package fake

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// delete removes an object, or marks it if something keeps it: finalizers, a
// grace period, the content of a Namespace. It returns the last state.
func (c *Cluster) delete(ctx context.Context, k *kind, namespace, name string, opts metav1.DeleteOptions) (last object, err error) {
	if err := checkPath(k, namespace, name); err != nil {
		return nil, err
	}
	if err := checkDryRun(opts.DryRun); err != nil {
		return nil, err
	}
	action := &Action{Op: Op{Verb: "delete", Resource: k.resource, Namespace: namespace, Name: name, Preconditions: opts.Preconditions.DeepCopy()}}
	err = c.call(ctx, action, func() error {
		old, exists := c.state.get(k, namespace, name)
		if !exists {
			return apierrors.NewNotFound(k.groupResource(), name)
		}
		if err := checkPreconditions(k, old, opts.Preconditions); err != nil {
			return err
		}
		if k == namespaces && isImmortal(name) {
			return apierrors.NewForbidden(k.groupResource(), name, fmt.Errorf("this namespace may not be deleted"))
		}
		last = c.markOrRemove(k, old, opts)
		return nil
	})
	return last, err
}

// checkPreconditions answers as the API server does, which calls resources by
// their kind here, but for Namespaces.
func checkPreconditions(k *kind, old object, want *metav1.Preconditions) error {
	if want == nil {
		return nil
	}
	resource := schema.GroupResource{Resource: k.name}
	uid := "the UID in the precondition (%v) does not match the UID in record (%v). The object might have been deleted and then recreated"
	version := "the ResourceVersion in the precondition (%v) does not match the ResourceVersion in record (%v). The object might have been modified"
	if k == namespaces {
		resource = k.groupResource()
		uid = "Precondition failed: UID in precondition: %v, UID in object meta: %v"
		version = "Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v"
	}
	if want.UID != nil && *want.UID != old.GetUID() {
		return apierrors.NewConflict(resource, old.GetName(), fmt.Errorf(uid, *want.UID, old.GetUID()))
	}
	if want.ResourceVersion != nil && *want.ResourceVersion != old.GetResourceVersion() {
		return apierrors.NewConflict(resource, old.GetName(), fmt.Errorf(version, *want.ResourceVersion, old.GetResourceVersion()))
	}
	return nil
}

// markOrRemove takes the next step of a deletion, and returns what the API
// server answers: a Pod that goes is marked, other objects are as they were. An
// object that is marked already stays as it is, but a Pod may get less time.
func (c *Cluster) markOrRemove(k *kind, old object, opts metav1.DeleteOptions) object {
	o := c.marked(k, old, opts.GracePeriodSeconds)
	last, dryRun := old, len(opts.DryRun) > 0
	switch {
	case gone(k, o):
		if !dryRun {
			last = c.expunge(k, old) // watches see it without the mark
		}
		if k == pods {
			o.SetResourceVersion(last.GetResourceVersion())
			last = o
		}
	case old.GetDeletionTimestamp() != nil && *orZero(old.GetDeletionGracePeriodSeconds()) == *orZero(o.GetDeletionGracePeriodSeconds()):
	default:
		if !dryRun {
			c.commit(k, o, old)
		}
		last = o
	}
	return last
}

// marked returns a copy of old with the time of its end.
func (c *Cluster) marked(k *kind, old object, wanted *int64) object {
	o := copyOf(old)
	grace := gracePeriod(k, o, wanted)
	if before := o.GetDeletionGracePeriodSeconds(); o.GetDeletionTimestamp() != nil && before != nil && grace > *before {
		grace = *before
	}
	if o.GetDeletionTimestamp() == nil && o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	if o.GetDeletionTimestamp() == nil || grace != *orZero(o.GetDeletionGracePeriodSeconds()) {
		at := metav1.NewTime(c.now().Add(time.Duration(grace) * time.Second))
		o.SetDeletionTimestamp(&at)
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
		ns.DeletionGracePeriodSeconds = nil
	}
	return o
}

// gracePeriod returns the seconds that o has left: only a Pod that runs has any.
func gracePeriod(k *kind, o object, wanted *int64) int64 {
	pod, ok := o.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return 0
	}
	if wanted == nil {
		wanted = pod.Spec.TerminationGracePeriodSeconds
	}
	if wanted == nil {
		return defaultGracePeriod
	}
	return max(0, *wanted)
}

func orZero(n *int64) *int64 {
	if n == nil {
		return new(int64)
	}
	return n
}
