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

// ofPatch takes the envelope from the path of a field.
var ofPatch = strings.NewReplacer(`"patch.`, `"`, `"patch[`, `"[`)

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

// StrictErrors returns which fields are unknown or occur twice: those of the patch
// itself, and those that it gives old, which are decoded into into. A patch that can't
// be applied has none: its error says more.
func (p *Patch) StrictErrors(old, into runtime.Object) []error {
	patched, err := p.Document(old)
	if err != nil {
		return nil
	}
	return append(p.ownErrors(), StrictErrors(patched, into)...)
}

func (p *Patch) ownErrors() []error {
	var into runtime.Object = new(envelope[map[string]any])
	prefix := ""
	if p.patchType == types.JSONPatchType {
		into, prefix = new(envelope[[]operation]), "json patch "
	}
	errs := StrictErrors(slices.Concat([]byte(`{"patch":`), p.data, []byte("}")), into)
	for i, err := range errs {
		errs[i] = errors.New(prefix + ofPatch.Replace(err.Error()))
	}
	return errs
}

// StrictErrors decodes data, the JSON of an object, into into, and returns which of its
// fields are unknown or occur twice.
func StrictErrors(data []byte, into runtime.Object) []error {
	_, _, err := strict.Decode(data, nil, into)
	if e, ok := runtime.AsStrictDecodingError(err); ok {
		return e.Errors()
	}
	return nil // whoever reads it next says what else is wrong
}
