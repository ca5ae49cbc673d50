package patch

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// ParseConfiguration decodes the configuration of a server-side apply, YAML or JSON.
func ParseConfiguration(data []byte) (*unstructured.Unstructured, error) {
	var content map[string]any
	document, err := yaml.ToJSON(data)
	if err == nil {
		err = utiljson.Unmarshal(document, &content)
	}
	if err != nil || content == nil { // the text of the error may show a value
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
