package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkFields does what fieldValidation asks for about fields that the kind
// does not have. Field names that occur twice are not looked for.
func (c *call) checkFields(data []byte, into runtime.Object, gvk schema.GroupVersionKind) error {
	unknown, err := c.unknownFields(data, into, false)
	if err != nil || unknown == "" {
		return err
	}
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %s", gvk.Kind, gvk.Version, gvk.Kind, unknown))
}

// checkPatchFields does the same for a patch that has the form of the object.
func (c *call) checkPatchFields(data []byte, pt types.PatchType, into runtime.Object) error {
	if pt == types.JSONPatchType {
		return nil
	}
	unknown, err := c.unknownFields(data, into, pt == types.StrategicMergePatchType)
	switch {
	case err != nil || unknown == "":
		return err
	case pt == types.StrategicMergePatchType:
		return apierrors.NewBadRequest(unknown)
	}
	return statusError(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "patch: Invalid value: "+unknown)
}

// unknownFields returns what is wrong with the fields of data, "" if nothing is
// or nobody wants to know.
func (c *call) unknownFields(data []byte, into runtime.Object, directives bool) (string, error) {
	mode := c.query.Get("fieldValidation")
	switch mode {
	case metav1.FieldValidationStrict, metav1.FieldValidationWarn:
	case "", metav1.FieldValidationIgnore:
		return "", nil
	default:
		return "", invalidOptions("CreateOptions", field.NotSupported(field.NewPath("fieldValidation"), mode,
			[]string{metav1.FieldValidationIgnore, metav1.FieldValidationStrict, metav1.FieldValidationWarn}))
	}
	var document any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&document) != nil { // whoever reads it next says so
		return "", nil
	}
	unknown := unknownFields(document, reflect.TypeOf(into), "", directives)
	for i, name := range unknown {
		unknown[i] = fmt.Sprintf("unknown field %q", name)
		if mode == metav1.FieldValidationWarn {
			c.warn(unknown[i])
		}
	}
	if mode == metav1.FieldValidationWarn || len(unknown) == 0 {
		return "", nil
	}
	return "strict decoding error: " + strings.Join(unknown, ", "), nil
}

// unknownFields returns the paths of what t has no field for. The directives of
// a strategic merge patch may be none of them.
func unknownFields(document any, t reflect.Type, path string, directives bool) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) { // reads itself
		return nil
	}
	var unknown []string
	switch document := document.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(document)) {
			if directives && strings.HasPrefix(key, "$") {
				continue
			}
			below := strings.TrimPrefix(path+"."+key, ".")
			if member := fieldType(t, key); member != nil {
				unknown = append(unknown, unknownFields(document[key], member, below, directives)...)
			} else {
				unknown = append(unknown, below)
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, item := range document {
			unknown = append(unknown, unknownFields(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), directives)...)
		}
	}
	return unknown
}

// fieldType returns the type of the field of t that is called key in JSON, or
// nil.
func fieldType(t reflect.Type, key string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
	default:
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == key {
			return f.Type
		}
		if name == "" && (f.Anonymous || strings.Contains(options, "inline")) {
			if inlined := fieldType(f.Type, key); inlined != nil {
				return inlined
			}
		}
	}
	return nil
}

func invalidOptions(kind string, err *field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", field.ErrorList{err})
}
