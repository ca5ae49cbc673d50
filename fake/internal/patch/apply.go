package patch

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// ParseApply reads the configuration of a server-side apply.
func ParseApply(k *object.Kind, data []byte, manager string) (*unstructured.Unstructured, error) {
	checked := metav1.PatchOptions{FieldManager: manager}
	if errs := validation.ValidatePatchOptions(&checked, types.ApplyYAMLPatchType); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}, "", errs)
	}
	configuration, err := parseConfiguration(data)
	if err != nil {
		return nil, err
	}
	switch gvk := configuration.GroupVersionKind(); {
	case gvk != k.GroupVersion().WithKind(k.Name):
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid object type: %s", gvk))
	case configuration.GetManagedFields() != nil:
		return nil, apierrors.NewBadRequest("metadata.managedFields must be nil")
	}
	return configuration, nil
}

// CheckApplied compares what was applied with the path of the request, in the order of
// the API server.
func CheckApplied(k *object.Kind, applied object.Object, exists bool, namespace, name string) error {
	if uid := applied.GetUID(); uid != "" && !exists {
		return apierrors.NewConflict(k.GroupResource(), name,
			fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", uid))
	}
	if applied.GetNamespace() == "" {
		applied.SetNamespace(namespace)
	}
	switch {
	case applied.GetNamespace() != namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	case applied.GetName() == "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", name))
	case applied.GetName() != name:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", applied.GetName(), name))
	case !exists: // the API server ignores the version of what isn't there
		applied.SetResourceVersion("")
	}
	return nil
}

// Stamp sets the times of the managedFields of next to now, unless they were the same in
// live, which may be nil, and sorts them.
func Stamp(next, live object.Object, now metav1.Time) {
	var before []metav1.ManagedFieldsEntry
	if live != nil {
		before = live.GetManagedFields()
	}
	entries := next.GetManagedFields() // no copy
	for i := range entries {
		entries[i].Time = &now
		for _, b := range before {
			e := entries[i]
			if b.Manager == e.Manager && b.Operation == e.Operation && b.APIVersion == e.APIVersion && b.Subresource == e.Subresource &&
				b.FieldsV1.GetRawString() == e.FieldsV1.GetRawString() {
				entries[i].Time = b.Time
			}
		}
	}
	slices.SortStableFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(
			cmp.Compare(a.Operation, b.Operation), a.Time.Compare(b.Time.Time), cmp.Compare(a.Manager, b.Manager),
			cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource))
	})
}

// parseConfiguration decodes the configuration of a server-side apply, YAML or JSON.
func parseConfiguration(data []byte) (*unstructured.Unstructured, error) {
	var content map[string]any
	document, _ := yaml.ToJSON(data)
	if err := utiljson.Unmarshal(document, &content); err != nil || content == nil { // the text of the error may show a value
		return nil, apierrors.NewBadRequest("error decoding YAML: the apply configuration is no object")
	}
	u := &unstructured.Unstructured{Object: content}
	// The accessors below ignore metadata of other types.
	if metadata, ok := content["metadata"]; ok {
		if _, ok := metadata.(map[string]any); !ok {
			return nil, NotTyped("metadata is no object")
		}
	}
	return u, nil
}

// NotTyped returns the API server's 500 for a configuration that doesn't fit the schema.
func NotTyped(problem string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonUnknown, Message: problem,
	}}
}

// Repeated returns an error that names the keys that a configuration has twice, nil if
// there are none.
func Repeated(data []byte) error { return yaml.UnmarshalStrict(data, &map[string]any{}) }
