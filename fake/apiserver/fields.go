package apiserver

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// warnByDefault is how the API server validates the fields of clients that don't ask for
// anything.
func warnByDefault(validation string) string {
	if validation == "" {
		return metav1.FieldValidationWarn
	}
	return validation
}

// checkFields does what fieldValidation asks for about unknown fields of a body, and
// those that occur twice.
func (c *call) checkFields(data []byte, into runtime.Object, validation string, gvk schema.GroupVersionKind) error {
	if validation == metav1.FieldValidationIgnore {
		return nil
	}
	found := patch.StrictErrors(data, into.DeepCopyObject())
	if err := apirules.ReportFields(c.ctx, found, warnByDefault(validation)); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", gvk.Kind, gvk.Version, gvk.Kind, err))
	}
	return nil
}
