package apirules

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// CheckPreconditions answers as the API server does, which calls resources by
// their kind here, but for Namespaces.
func CheckPreconditions(k *object.Kind, old object.Object, want *metav1.Preconditions) error {
	if want == nil {
		return nil
	}
	resource := schema.GroupResource{Resource: k.Name}
	uid := "the UID in the precondition (%v) does not match the UID in record (%v). The object might have been deleted and then recreated"
	version := "the ResourceVersion in the precondition (%v) does not match the ResourceVersion in record (%v). The object might have been modified"
	if k == object.Namespaces {
		resource = k.GroupResource()
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

// Gone reports whether nothing keeps o any more.
func Gone(o object.Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	if ns, ok := o.(*corev1.Namespace); ok {
		return len(ns.Spec.Finalizers) == 0
	}
	_, isPod := o.(*corev1.Pod)
	grace := o.GetDeletionGracePeriodSeconds()
	return !isPod || grace == nil || *grace == 0
}

// Marked returns a copy of old with the time of its end, wanted seconds from now.
func Marked(old object.Object, wanted *int64, now time.Time) object.Object {
	o := object.CopyOf(old)
	grace := gracePeriod(o, wanted)
	if before := o.GetDeletionGracePeriodSeconds(); o.GetDeletionTimestamp() != nil && before != nil && grace > *before {
		grace = *before
	}
	if o.GetDeletionTimestamp() == nil && o.GetGeneration() > 0 {
		o.SetGeneration(o.GetGeneration() + 1)
	}
	if o.GetDeletionTimestamp() == nil || grace != *orZero(o.GetDeletionGracePeriodSeconds()) {
		at := metav1.NewTime(now.Add(time.Duration(grace) * time.Second))
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
func gracePeriod(o object.Object, wanted *int64) int64 {
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

// EqualGrace reports whether a and b have the same time left.
func EqualGrace(a, b object.Object) bool {
	return *orZero(a.GetDeletionGracePeriodSeconds()) == *orZero(b.GetDeletionGracePeriodSeconds())
}
