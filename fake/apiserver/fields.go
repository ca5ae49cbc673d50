package apiserver

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// strict decodes JSON into what it is given, and reports fields that it doesn't have
// or that occur twice.
var strict = newStrict()

func newStrict() runtime.Decoder {
	scheme := runtime.NewScheme() // knows nothing: every object is decoded as it is
	return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Strict: true})
}

// strictErrors returns what is wrong with the fields of data, which fits into into.
func strictErrors(data []byte, into runtime.Object) []error {
	_, _, err := strict.Decode(data, nil, into)
	if e, ok := runtime.AsStrictDecodingError(err); ok {
		return e.Errors()
	}
	return nil // whoever reads it next says what else is wrong
}

// checkFields does what fieldValidation asks for about fields of a body.
func (c *call) checkFields(data []byte, into runtime.Object, validation string, gvk schema.GroupVersionKind) error {
	if validation == metav1.FieldValidationIgnore {
		return nil
	}
	found := strictErrors(data, into.DeepCopyObject())
	if err := c.report(found, validation); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", gvk.Kind, gvk.Version, gvk.Kind, err))
	}
	return nil
}

// checkPatchFields does the same for a patch of old, and for what it makes of it. A
// patch that can't be applied is left to the Cluster, which has the right error.
func (c *call) checkPatchFields(k *object.Kind, old object.Object, change *patch.Patch, validation string) error {
	if validation == metav1.FieldValidationIgnore || old == nil {
		return nil
	}
	patched, err := change.Document(old)
	if err != nil {
		return nil
	}
	found := append(change.StrictErrors(), strictErrors(patched, k.New())...)
	if err := c.report(found, validation); err != nil {
		// The API server shows the patch as the value.
		return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "(not shown)", err.Error())})
	}
	return nil
}

// report warns of what was found, or returns it as an error if it is to be one.
func (c *call) report(found []error, validation string) error {
	if validation != metav1.FieldValidationStrict {
		for _, err := range found {
			c.warn(err.Error())
		}
		return nil
	}
	if len(found) == 0 {
		return nil
	}
	texts := make([]string, len(found))
	for i, err := range found {
		texts[i] = err.Error()
	}
	return errors.New("strict decoding error: " + strings.Join(texts, ", "))
}
