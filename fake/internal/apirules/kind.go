// Package apirules does to one object what the API server does between a request
// and its storage: it sets and defaults fields, validates, applies patches and
// subresources, and marks what is deleted. Functions are pure but for their first
// argument, and their errors are those of the API server.
package apirules

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// PrepareCreate sets what the server owns in the spec and status of a new
// object, or defaults.
func PrepareCreate(o object.Object) {
	switch o := o.(type) {
	case *corev1.Namespace:
		prepareNamespace(o)
	case *corev1.ServiceAccount:
		prepareServiceAccount(o)
	case *corev1.Secret:
		prepareSecret(o)
	case *corev1.Pod:
		preparePod(o)
	}
}

// prepareUpdate does the same for an update of the whole object.
func prepareUpdate(updated, old object.Object) {
	switch o := updated.(type) {
	case *corev1.Namespace:
		prepareNamespaceUpdate(o, old.(*corev1.Namespace))
	case *corev1.ServiceAccount:
		prepareServiceAccount(o)
	case *corev1.Secret:
		prepareSecret(o)
	case *corev1.Pod:
		preparePodUpdate(o, old.(*corev1.Pod))
	}
}

// ValidateCreate returns the API server's 422 for an object that can't be created.
func ValidateCreate(k *object.Kind, o object.Object) error {
	errs := append(validateMeta(k, o), validateContent(o)...)
	switch o := o.(type) {
	case *corev1.Pod:
		if len(o.Spec.EphemeralContainers) > 0 {
			errs = append(errs, field.Forbidden(field.NewPath("spec", "ephemeralContainers"), "cannot be set on create"))
		}
	case *certificatesv1.ClusterTrustBundle:
		errs = append(errs, validateTrustBundle(o.Spec.TrustBundle)...)
	case *corev1.Namespace:
		for _, name := range o.Spec.Finalizers { // the API server doesn't say which
			errs = append(errs, validateFinalizer(string(name), field.NewPath("spec", "finalizers"))...)
		}
	}
	return invalid(k, o, errs)
}

// validateUpdate returns the API server's 422 for an update that isn't allowed.
func validateUpdate(k *object.Kind, subresource string, o, old object.Object) error {
	errs := append(validateMeta(k, o), validateMetaUpdate(o, old)...)
	switch subresource {
	case "status":
		if ns, ok := o.(*corev1.Namespace); ok {
			errs = append(errs, validatePhase(ns)...)
		}
	case object.FinalizeSubresource:
		for i, name := range o.(*corev1.Namespace).Spec.Finalizers {
			errs = append(errs, validateFinalizer(string(name), field.NewPath("spec", "finalizers").Index(i))...)
		}
	case "ephemeralcontainers":
		errs = append(errs, validateEphemeralContainersUpdate(o.(*corev1.Pod), old.(*corev1.Pod))...)
	case object.ResizeSubresource:
		errs = append(errs, validateResize(o.(*corev1.Pod), old.(*corev1.Pod))...)
	case "":
		errs = append(errs, validateContent(o)...)
		errs = append(errs, validateContentUpdate(o, old)...)
	}
	return invalid(k, o, errs)
}

// ValidateMetadata returns the API server's 422 for bad metadata.
func ValidateMetadata(k *object.Kind, o object.Object) error {
	return invalid(k, o, validateMeta(k, o))
}

func validateContent(o object.Object) field.ErrorList {
	switch o := o.(type) {
	case *corev1.Secret:
		return validateSecret(o)
	case *corev1.Pod:
		return validatePod(o)
	case *corev1.ConfigMap:
		return validateConfigMap(o)
	case *certificatesv1.ClusterTrustBundle:
		return validateSigner(o)
	}
	return nil
}

func validateContentUpdate(updated, old object.Object) field.ErrorList {
	switch o := updated.(type) {
	case *corev1.Secret:
		return validateSecretUpdate(o, old.(*corev1.Secret))
	case *corev1.Pod:
		return validatePodUpdate(o, old.(*corev1.Pod))
	case *corev1.ConfigMap:
		return validateConfigMapUpdate(o, old.(*corev1.ConfigMap))
	case *certificatesv1.ClusterTrustBundle:
		return validateTrustBundleUpdate(o, old.(*certificatesv1.ClusterTrustBundle))
	}
	return nil
}
