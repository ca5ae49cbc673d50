package apirules

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

func prepareNamespace(ns *corev1.Namespace) {
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	labelNamespace(ns)
}

func prepareNamespaceUpdate(ns, before *corev1.Namespace) {
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

// validatePhase validates the phase that an update of the status sets.
func validatePhase(ns *corev1.Namespace) field.ErrorList {
	want, condition := corev1.NamespaceActive, "empty"
	if ns.DeletionTimestamp != nil {
		want, condition = corev1.NamespaceTerminating, "not empty"
	}
	if ns.Status.Phase == want {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("status", "Phase"), ns.Status.Phase, fmt.Sprintf("may only be '%s' if `deletionTimestamp` is %s", want, condition))}
}

// IsImmortal reports whether the API server refuses to delete the Namespace.
func IsImmortal(name string) bool {
	return name == metav1.NamespaceDefault || name == metav1.NamespaceSystem || name == metav1.NamespacePublic
}

// CheckNamespace refuses to create o in its Namespace ns, which doesn't exist if
// it is nil, or is being deleted.
func CheckNamespace(k *object.Kind, o object.Object, ns *corev1.Namespace) error {
	if ns == nil {
		return apierrors.NewNotFound(object.Namespaces.GroupResource(), o.GetNamespace())
	}
	if ns.DeletionTimestamp == nil && ns.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	err := apierrors.NewForbidden(k.GroupResource(), o.GetName(),
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", o.GetNamespace()))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", o.GetNamespace()),
		Field:   "metadata.namespace",
	})
	return err
}
