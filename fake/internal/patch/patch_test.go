package patch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// apply applies a patch to a ConfigMap.
func apply(pt types.PatchType, data string, old map[string]string) (map[string]string, error) {
	p, err := patch.Parse(pt, []byte(data))
	if err != nil {
		return nil, err
	}
	var into corev1.ConfigMap
	err = p.Apply(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: old}, &into)
	return into.Data, err
}

func TestPatches(t *testing.T) {
	for _, tt := range []struct {
		pt         types.PatchType
		data, want string // the data that it gives, or the error
	}{
		{types.JSONPatchType, `[{"op":"add","path":"/data/b","value":"2"}]`, "map[a:1 b:2]"},
		{types.JSONPatchType, `null`, "map[a:1]"},
		{types.JSONPatchType, `{`, "BadRequest: invalid JSON patch"},
		{types.JSONPatchType, `{}`, "BadRequest: json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
		{types.JSONPatchType, `[{"op":"add","path":"/data","value":7}]`, "Invalid: the patch does not give a valid ConfigMap"},
		{types.JSONPatchType, `[{"op":"replace","path":"","value":[]}]`, "Invalid: the patch does not give a valid ConfigMap"},
		{types.MergePatchType, `{"data":{"a":null,"b":"2"}}`, "map[b:2]"},
		{types.MergePatchType, `[]`, "BadRequest: error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		{types.MergePatchType, `{"data":7}`, "Invalid: the patch does not give a valid ConfigMap"},
		{types.MergePatchType, `null`, "BadRequest: Invalid JSON Patch"},
		{types.StrategicMergePatchType, `{"data":{"b":"2"}}`, "map[a:1 b:2]"},
		{types.StrategicMergePatchType, `null`, "map[a:1]"},
		{types.StrategicMergePatchType, `[]`, "BadRequest: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		{types.StrategicMergePatchType, `{"data":7}`, "Invalid: the patch does not give a valid ConfigMap"},
		{types.StrategicMergePatchType, `{"metadata":{"generation":1.5}}`, "Invalid: the patch does not give a valid ConfigMap"},
		{types.StrategicMergePatchType, `{"$retainKeys":"x"}`, "BadRequest: invalid patch format of retainKeys"},
		{types.ApplyPatchType, `{}`, "UnsupportedMediaType: the body of the request was in an unknown format"},
	} {
		data, err := apply(tt.pt, tt.data, map[string]string{"a": "1"})
		got := fmt.Sprint(data)
		if err != nil {
			got = string(apierrors.ReasonForError(err)) + ": " + err.Error()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %s gives %s, want %s", tt.pt, tt.data, got, tt.want)
		}
	}
}

// A short patch can't make a document that is too large or too deep to hold: it is
// refused before, not after.
func TestBounds(t *testing.T) {
	repeat := func(step string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(step+",", n), ",") + "]"
	}
	path := func(n int) string { return strings.Repeat("/a", n) }
	object := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	for _, tt := range []struct{ name, patch, want string }{
		{"operations", repeat(`{"op":"jump"}`, 10000), "Unexpected kind: jump"},
		{"too many operations", repeat(`{"op":"jump"}`, 10001), "The allowed maximum operations in a JSON patch is 10000, got 10001"},
		{"a long path", `[{"op":"remove","path":"` + path(1000) + `"}]`, "remove operation does not apply"},
		{"too long a path", `[{"op":"test","path":"/x","value":null},{"op":"remove","path":"` + path(1001) + `"}]`, "a path has more than 1000 parts"},
		{"too long a source", `[{"op":"move","path":"/x","from":"` + path(1001) + `"}]`, "a path has more than 1000 parts"},
		{"copies", `[{"op":"add","path":"/x","value":"` + strings.Repeat("x", 3<<20) + `"},{"op":"copy","from":"/x","path":"/y"}]`, "exceeding the limit 3145728"},
		{"what is no copy doesn't count", `[{"op":"copy","from":"/data","path":"/y"},{"op":"add","path":"/x","value":"` + strings.Repeat("x", 3<<20) + `"},{"op":"copy","from":"/data","path":"/z"}]`, ""},
		{"nesting", `[{"op":"add","path":"/x","value":` + object(900) + `},{"op":"add","path":"/y","value":` + object(9500) + `},{"op":"move","from":"/y","path":"/x` + path(900) + `"}]`, "the result is nested too deeply"},
	} {
		_, err := apply(types.JSONPatchType, tt.patch, map[string]string{"a": "1"})
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) || len(got) > 5000 {
			t.Errorf("%s: %.200v, want %q", tt.name, err, tt.want)
		}
	}
}

// A document has the fields that objects don't have, and lists are merged.
func TestDocument(t *testing.T) {
	old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"a"}}, Data: map[string]string{"c": "d"}}
	for data, want := range map[string]string{
		`{"metadata":{"finalizers":["b"]},"new":1}`: `{"data":{"c":"d"},"metadata":{"finalizers":["b","a"]},"new":1}`,
		`{"$retainKeys":"x"}`:                       "BadRequest",
		`{"metadata":{"finalizers":[["x"]]}}`:       "BadRequest",
	} {
		p, err := patch.Parse(types.StrategicMergePatchType, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Document(old)
		if err != nil {
			got = []byte(apierrors.ReasonForError(err))
		}
		if string(got) != want {
			t.Errorf("%s gives %s, %v, want %s", data, got, err, want)
		}
	}
}

// Fields that are unknown or repeated are named: those of the patch, and those that it
// gives the object.
func TestStrictErrors(t *testing.T) {
	for _, tt := range []struct {
		pt   types.PatchType
		data string
		want []string
	}{
		{types.MergePatchType, `{"data":{"b":"2"}}`, nil},
		{types.MergePatchType, `{"dato":{"b":"2"}}`, []string{`unknown field "dato"`}},
		{types.MergePatchType, `{"data":{"b":"2"},"data":{"b":"3"}}`, []string{`duplicate field "data"`}},
		{types.StrategicMergePatchType, `{"metadata":{"labels":{"a":"b"},"nome":"x"}}`, []string{`unknown field "metadata.nome"`}},
		{types.JSONPatchType, `[{"op":"test","path":"/data/a","value":"1","why":"x"}]`, []string{`json patch unknown field "[0].why"`}},
		{types.JSONPatchType, `[{"op":"add","path":"/dato","value":{}}]`, []string{`unknown field "dato"`}},
		{types.JSONPatchType, `[{"op":"add","op":"add","path":"/data/b","value":"2"}]`, []string{`json patch duplicate field "[0].op"`}},
		{types.JSONPatchType, `[{"op":"remove","path":"/none","why":"x"}]`, nil}, // its error says more
		{types.MergePatchType, `{"data":7}`, nil},
	} {
		p, err := patch.Parse(tt.pt, []byte(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		old := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, Data: map[string]string{"a": "1"}}
		var got []string
		for _, err := range p.StrictErrors(old, new(corev1.ConfigMap)) {
			got = append(got, err.Error())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.data, diff)
		}
	}
}
