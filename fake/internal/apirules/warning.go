package apirules

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

// Warnings returns what the API server warns the client of who writes o in place of
// old, nil for a create.
func Warnings(o, old object.Object) []string {
	account, ok := o.(*corev1.ServiceAccount)
	if !ok {
		return nil
	}
	if _, set := account.Annotations[enforceMountableSecrets]; !set {
		return nil
	}
	if old != nil {
		if _, set := old.GetAnnotations()[enforceMountableSecrets]; set {
			return nil
		}
	}
	return []string{"metadata.annotations[" + enforceMountableSecrets + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}
