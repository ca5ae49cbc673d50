package openapi_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	genericopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/kubesa/serviceaccount/apiserver/openapi"
)

// A Widget has fields of every kind that a type of the API may have.
type Widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	inlined
	Text

	Nested    *Part                        `json:"nested,omitempty"`
	Parts     []Part                       `json:"parts" patchStrategy:"merge" patchMergeKey:"name"`
	ByName    map[string]Part              `json:"byName,omitempty"`
	Nests     map[string][]map[string]bool `json:"nests,omitempty"`
	Bytes     []byte                       `json:"bytes,omitempty"`
	Quantity  resource.Quantity            `json:"quantity,omitempty"`
	Port      *intstr.IntOrString          `json:"port,omitempty"`
	Time      metav1.Time                  `json:"time,omitempty"`
	Micro     *metav1.MicroTime            `json:"micro,omitempty"`
	Wait      metav1.Duration              `json:"wait,omitzero"`
	Elapsed   time.Duration                `json:"elapsed,omitempty"`
	Raw       runtime.RawExtension         `json:"raw,omitempty"`
	Any       any                          `json:"any,omitempty"`
	Own       own                          `json:"own,omitempty"`
	Address   netip.Addr                   `json:"address,omitempty"`
	Quoted    int64                        `json:"quoted,omitempty,string"`
	Small     int32                        `json:"small"`
	Share     float64                      `json:"share,omitempty"`
	Recursion tree                         `json:"recursion,omitempty"`
	Hidden    string                       `json:"-"`
	private   string
}

// Text is embedded, and no struct.
type Text string

type inlined struct {
	Inlined bool `json:"inlined,omitempty"`
}

// own is encoded as it likes.
type own struct {
	A int `json:"a"`
}

func (own) MarshalJSON() ([]byte, error) { return []byte("[1]"), nil }

// A tree is a list of itself.
type tree []tree

// A Part may have parts.
type Part struct {
	Name  string  `json:"name"`
	Parts []*Part `json:"parts,omitempty"`
}

func (*Widget) DeepCopyObject() runtime.Object { return &Widget{private: ""} }

// SwaggerDoc returns descriptions, as the generated one of k8s.io/api does.
func (Widget) SwaggerDoc() map[string]string {
	return map[string]string{"": "Widget is one of many.", "parts": "What it consists of."}
}

func widgets(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "shop.example", Version: "v1", Kind: "Widget"}, &Widget{})
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "shop.example", Version: runtime.APIVersionInternal, Kind: "Widget"}, &Widget{})
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// documents returns the definitions of a server for OpenAPI 3 and 2.
func documents(t *testing.T, scheme *runtime.Scheme, names ...string) (v3 map[string]*spec.Schema, v2 spec.Definitions) {
	t.Helper()
	definitions, namer := openapi.Definitions(scheme), genericopenapi.NewDefinitionNamer(scheme)
	v3, err := builder3.BuildOpenAPIDefinitionsForResources(genericapiserver.DefaultOpenAPIV3Config(definitions, namer), names...)
	if err != nil {
		t.Fatal(err)
	}
	swagger, err := builder.BuildOpenAPIDefinitionsForResources(genericapiserver.DefaultOpenAPIConfig(definitions, namer), names...)
	if err != nil {
		t.Fatal(err)
	}
	return v3, swagger.Definitions
}

var widgetName = util.GetCanonicalTypeName(&Widget{})

// typeOf returns the type of a value in short.
func typeOf(t *testing.T, all map[string]*spec.Schema, s *spec.Schema) string {
	t.Helper()
	if len(s.AllOf) == 1 { // a reference with a description
		s = &s.AllOf[0]
	}
	switch ref := s.Ref.String(); {
	case ref != "":
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		if all[name] == nil {
			t.Errorf("%s isn't there", ref)
			return ref
		}
		if len(all[name].Properties) > 0 {
			return name[strings.LastIndex(name, ".")+1:]
		}
		return typeOf(t, all, all[name])
	case s.Items != nil:
		return "[]" + typeOf(t, all, s.Items.Schema)
	case s.AdditionalProperties != nil:
		return "map of " + typeOf(t, all, s.AdditionalProperties.Schema)
	case len(s.OneOf) > 0:
		var types []string
		for _, one := range s.OneOf {
			types = append(types, one.Type...)
		}
		return strings.TrimSpace(strings.Join(types, " or ") + " " + s.Format)
	case len(s.Type) == 0:
		return "anything"
	}
	return strings.TrimSpace(strings.Join(s.Type, "|") + " " + s.Format)
}

func TestTypes(t *testing.T) {
	v3, v2 := documents(t, widgets(t), widgetName)
	widget := v3[strings.ReplaceAll(widgetName, "/", "~1")]
	if widget == nil {
		t.Fatalf("no widget in %q", slices.Sorted(maps.Keys(v3)))
	}
	got := map[string]string{}
	for name, property := range widget.Properties {
		got[name] = typeOf(t, v3, &property)
	}
	want := map[string]string{
		"apiVersion": "string", "kind": "string", "metadata": "ObjectMeta", "inlined": "boolean", "Text": "string",
		"nested": "Part", "parts": "[]Part", "byName": "map of Part", "nests": "map of []map of boolean", "bytes": "string byte",
		"quantity": "string or number", "port": "integer or string int-or-string", "time": "string date-time", "micro": "string date-time",
		"wait": "string", "elapsed": "integer int64", "raw": "object", "any": "anything", "own": "anything", "address": "string", "quoted": "string",
		"small": "integer int32", "share": "number double", "recursion": "[]anything",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Text", "parts", "small"}, widget.Required); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	part := v3[strings.ReplaceAll(util.GetCanonicalTypeName(&Part{}), "/", "~1")]
	if part == nil || part.Properties["parts"].Items == nil {
		t.Fatalf("got %+v, want a part with parts", part)
	}
	if got := typeOf(t, v3, part.Properties["parts"].Items.Schema); got != "Part" {
		t.Errorf("a part has parts of type %s", got)
	}
	// OpenAPI 2 has one type for each value.
	for name, want := range map[string]string{
		util.GetCanonicalTypeName(&resource.Quantity{}):  "string",
		util.GetCanonicalTypeName(&intstr.IntOrString{}): "string",
	} {
		if s := v2[name]; len(s.OneOf) > 0 || !slices.Equal(s.Type, []string{want}) {
			t.Errorf("%s: got %+v", name, s.SchemaProps)
		}
	}
}

// What kubectl explain needs: the kind, descriptions and references that lead somewhere,
// for a server's own types and for those of Kubernetes.
func TestExplain(t *testing.T) {
	podName := util.GetCanonicalTypeName(&corev1.Pod{})
	v3, v2 := documents(t, widgets(t), widgetName, podName)
	kindsOf := func(extensions spec.Extensions) string {
		data, err := json.Marshal(extensions["x-kubernetes-group-version-kind"])
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, tt := range []struct{ name, kind, path, description string }{
		{name: widgetName, kind: `[{"group":"shop.example","kind":"Widget","version":"v1"}]`, description: "Widget is one of many."},
		{name: widgetName, path: "parts", description: "What it consists of."},
		{name: widgetName, path: "metadata.name", description: "Name must be unique within a namespace."},
		{name: podName, kind: `[{"group":"","kind":"Pod","version":"v1"}]`, description: "Pod is a collection of containers"},
		{name: podName, path: "spec.serviceAccountName", description: "ServiceAccountName is the name of the ServiceAccount"},
		{name: podName, path: "spec.volumes.projected.sources.serviceAccountToken.expirationSeconds", description: "expirationSeconds is the requested duration of validity"},
		{name: podName, path: "spec.containers.resources.limits", description: "Limits describes the maximum amount"},
	} {
		t.Run(tt.name+" "+tt.path, func(t *testing.T) {
			key := strings.ReplaceAll(tt.name, "/", "~1")
			s := v3[key]
			if s == nil || v2[key].Properties == nil {
				t.Fatalf("no definition in %q", slices.Sorted(maps.Keys(v3)))
			}
			if tt.kind != "" && (kindsOf(s.Extensions) != tt.kind || kindsOf(v2[key].Extensions) != tt.kind) {
				t.Errorf("got kinds %s and %s, want %s", kindsOf(s.Extensions), kindsOf(v2[key].Extensions), tt.kind)
			}
			for name := range strings.SplitSeq(tt.path, ".") {
				if name == "" {
					break
				}
				s = follow(t, v3, s)
				property, ok := s.Properties[name]
				if !ok {
					t.Fatalf("no %s", name)
				}
				s = &property
			}
			if !strings.HasPrefix(s.Description, tt.description) {
				t.Errorf("got %q, want %q", s.Description, tt.description)
			}
		})
	}
}

// follow returns the struct that s, a field, is of, or a list of.
func follow(t *testing.T, all map[string]*spec.Schema, s *spec.Schema) *spec.Schema {
	t.Helper()
	if s.Items != nil {
		s = s.Items.Schema
	}
	if len(s.AllOf) == 1 {
		s = &s.AllOf[0]
	}
	if ref := s.Ref.String(); ref != "" {
		if s = all[strings.TrimPrefix(ref, "#/components/schemas/")]; s == nil {
			t.Fatalf("%s isn't there", ref)
		}
	}
	return s
}

// Lists are merged by key only if that can't be absent.
func TestMerge(t *testing.T) {
	v3, _ := documents(t, widgets(t), widgetName, util.GetCanonicalTypeName(&corev1.Pod{}))
	parts := v3[strings.ReplaceAll(widgetName, "/", "~1")].Properties["parts"]
	if diff := cmp.Diff(spec.Extensions{
		"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
		"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"name"},
	}, parts.Extensions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	container := v3[util.GetCanonicalTypeName(&corev1.Container{})]
	if ports := container.Properties["ports"].Extensions; ports["x-kubernetes-list-type"] != nil || ports["x-kubernetes-patch-merge-key"] != "containerPort" {
		t.Errorf("got %v", ports)
	}
}
