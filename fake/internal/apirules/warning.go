package apirules

import (
	"context"
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/warning"
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

// ReportFields does with fields that are unknown or occur twice what fieldValidation
// asks for: it warns of them, returns them as an error, or neither.
func ReportFields(ctx context.Context, found []error, validation string) error {
	texts := make([]string, len(found))
	for i, err := range found {
		texts[i] = err.Error()
	}
	switch {
	case len(found) == 0:
	case validation == metav1.FieldValidationStrict:
		return errors.New("strict decoding error: " + strings.Join(texts, ", "))
	case validation == metav1.FieldValidationWarn:
		for _, text := range texts {
			warning.Add(ctx, text)
		}
	}
	return nil
}
