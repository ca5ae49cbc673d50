package patch

import (
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
)

// strict reports fields that are unknown or occur twice.
var strict = newStrict()

func newStrict() runtime.Decoder {
	scheme := runtime.NewScheme()
	return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Strict: true})
}

// envelope makes a patch an object, which is what the decoder takes.
type envelope[T any] struct {
	metav1.TypeMeta
	Patch T `json:"patch"`
}

func (e *envelope[T]) DeepCopyObject() runtime.Object { return &envelope[T]{TypeMeta: e.TypeMeta} }

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

// StrictErrors returns which fields of the patch itself occur twice or, in an
// operation of a JSON patch, are unknown.
func (p *Patch) StrictErrors() []error {
	var into runtime.Object = new(envelope[map[string]any])
	prefix := ""
	if p.patchType == types.JSONPatchType {
		into, prefix = new(envelope[[]operation]), "json patch "
	}
	data := slices.Concat([]byte(`{"patch":`), p.data, []byte("}"))
	_, _, err := strict.Decode(data, nil, into)
	found, ok := runtime.AsStrictDecodingError(err)
	if !ok {
		return nil
	}
	errs := found.Errors()
	for i, err := range errs {
		text := strings.Replace(err.Error(), `"patch.`, `"`, 1)
		errs[i] = errors.New(prefix + strings.Replace(text, `"patch[`, `"[`, 1))
	}
	return errs
}
