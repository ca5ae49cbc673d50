package fake_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

func TestJSONPatch(t *testing.T) {
	tests := []struct {
		name, patch string
		want        map[string]string // data
		text        string
	}{
		{name: "add", patch: `[{"op":"add","path":"/data/c","value":"3"}]`, want: map[string]string{"a": "1", "b/~": "2", "c": "3"}},
		{name: "add over", patch: `[{"op":"add","path":"/data/a","value":"3"}]`, want: map[string]string{"a": "3", "b/~": "2"}},
		{name: "remove", patch: `[{"op":"remove","path":"/data/b~1~0"}]`, want: map[string]string{"a": "1"}},
		{name: "replace", patch: `[{"op":"replace","path":"/data","value":{"z":"9"}}]`, want: map[string]string{"z": "9"}},
		{name: "move", patch: `[{"op":"move","from":"/data/a","path":"/data/d"}]`, want: map[string]string{"d": "1", "b/~": "2"}},
		{name: "copy", patch: `[{"op":"copy","from":"/data/a","path":"/data/d"}]`, want: map[string]string{"a": "1", "d": "1", "b/~": "2"}},
		{name: "test holds", patch: `[{"op":"test","path":"/data/a","value":"1"},{"op":"remove","path":"/data/a"}]`, want: map[string]string{"b/~": "2"}},
		{name: "test fails", patch: `[{"op":"test","path":"/data/a","value":"9"},{"op":"remove","path":"/data/a"}]`, text: "testing value /data/a failed: test failed"},
		{name: "remove what is not there", patch: `[{"op":"remove","path":"/data/x"}]`, text: "error in remove for path: '/data/x': Unable to remove nonexistent key: x: missing value"},
		{name: "replace what is not there", patch: `[{"op":"remove","path":"/data/b~1~0"},{"op":"replace","path":"/data/x","value":"1"}]`, want: map[string]string{"a": "1", "x": "1"}},
		{name: "replace below what is not there", patch: `[{"op":"replace","path":"/x/y","value":"1"}]`, text: "replace operation does not apply: doc is missing path: /x/y: missing value"},
		{name: "no value", patch: `[{"op":"remove","path":"/data/b~1~0"},{"op":"add","path":"/data/x"}]`, want: map[string]string{"a": "1", "x": ""}},
		{name: "no slash", patch: `[{"op":"remove","path":"data"}]`, text: `remove operation does not apply: doc is missing path: "data": missing value`},
		{name: "unknown operation", patch: `[{"op":"jump","path":"/data","value":1}]`, text: "Unexpected kind: jump"},
		{name: "into itself", patch: `[{"op":"move","from":"/data","path":"/data/a"}]`, text: "move operation does not apply: doc is missing destination path: /data/a: missing value"},
		{name: "names of another case", patch: `[{"op":"remove","path":"/data/b~1~0"},{"op":"add","path":"/DATA","value":{"z":"9"}}]`, want: map[string]string{"a": "1"}},
		{name: "wrong type", patch: `[{"op":"replace","path":"/data","value":7}]`, text: "the patch does not give a valid ConfigMap"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Loaded, because "b/~" is no valid key; the step is what is tested.
			c := newCI(t, &corev1.ConfigMap{ObjectMeta: meta("ci", "m"), Data: map[string]string{"a": "1", "b/~": "2"}})
			got, err := c.CoreV1().ConfigMaps("ci").Patch(t.Context(), "m", types.JSONPatchType, []byte(tt.patch), metav1.PatchOptions{DryRun: []string{"All"}})
			if tt.text != "" {
				checkError(t, err, metav1.StatusReasonInvalid, tt.text)
				return
			}
			if _, odd := tt.want["b/~"]; odd {
				want := `ConfigMap "m" is invalid: data[b/~]: Invalid value: "b/~": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`
				checkError(t, err, metav1.StatusReasonInvalid, want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Data); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSONPatchOfLists(t *testing.T) {
	tests := []struct{ name, patch, want, text string }{
		{name: "append", patch: `[{"op":"add","path":"/secrets/-","value":{"name":"d"}}]`, want: "a b c d"},
		{name: "insert", patch: `[{"op":"add","path":"/secrets/1","value":{"name":"d"}}]`, want: "a d b c"},
		{name: "remove", patch: `[{"op":"remove","path":"/secrets/0"}]`, want: "b c"},
		{name: "replace inside", patch: `[{"op":"replace","path":"/secrets/2/name","value":"d"}]`, want: "a b d"},
		{name: "move", patch: `[{"op":"move","from":"/secrets/2","path":"/secrets/0"}]`, want: "c a b"},
		{name: "past the end", patch: `[{"op":"add","path":"/secrets/4","value":{"name":"d"}}]`, text: "error in add for path: '/secrets/4': Unable to access invalid index: 4: invalid index referenced"},
		{name: "from the end", patch: `[{"op":"remove","path":"/secrets/-1"}]`, want: "a b"},
		{name: "no index", patch: `[{"op":"remove","path":"/secrets/x"}]`, text: `error in remove for path: '/secrets/x': strconv.Atoi: parsing "x": invalid syntax`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t, &corev1.ServiceAccount{ObjectMeta: meta("ci", "sa"), Secrets: []corev1.ObjectReference{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
			got, err := c.PatchServiceAccount(t.Context(), "ci", "sa", types.JSONPatchType, []byte(tt.patch))
			if tt.text != "" {
				checkError(t, err, metav1.StatusReasonInvalid, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, ref := range got.Secrets {
				names = append(names, ref.Name)
			}
			if join(names) != tt.want {
				t.Errorf("secrets are %v, want %s", names, tt.want)
			}
		})
	}
}

func TestStrategicMergePatch(t *testing.T) {
	tests := []struct{ name, patch, want string }{
		{"merged by key", `{"secrets":[{"name":"c"},{"name":"a"}]}`, `["c","a","b"]`},
		{"in the order of the list", `{"secrets":[{"name":"b"},{"name":"c"}]}`, `["a","b","c"]`},
		{"deleted by key", `{"secrets":[{"$patch":"delete","name":"a"}]}`, `["b"]`},
		{"replaced", `{"secrets":[{"$patch":"replace"},{"name":"z"}]}`, `["z"]`},
		{"ordered", `{"$setElementOrder/secrets":[{"name":"c"},{"name":"b"},{"name":"a"}],"secrets":[{"name":"c"}]}`, `["c","b","a"]`},
		{"finalizers are a set", `{"metadata":{"finalizers":["example.com/b","example.com/a"]}}`, `["a","b"]+["example.com/b","example.com/a"]`},
		{"finalizers taken away", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/a"]}}`, `["a","b"]+[]`},
		{"labels are a map", `{"metadata":{"labels":{"x":"y"},"finalizers":null}}`, `["a","b"]+[]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t, &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "sa", Finalizers: []string{"example.com/a"}},
				Secrets:    []corev1.ObjectReference{{Name: "a"}, {Name: "b"}},
			})
			got := must[*corev1.ServiceAccount](t)(c.PatchServiceAccount(t.Context(), "ci", "sa", types.StrategicMergePatchType, []byte(tt.patch)))
			names := []string{}
			for _, ref := range got.Secrets {
				names = append(names, ref.Name)
			}
			text, err := json.Marshal(names)
			if err != nil {
				t.Fatal(err)
			}
			have := string(text)
			if tt.patch[2] == 'm' {
				finalizers, err := json.Marshal(append([]string{}, got.Finalizers...))
				if err != nil {
					t.Fatal(err)
				}
				have += "+" + string(finalizers)
			}
			if have != tt.want {
				t.Errorf("got %s, want %s", have, tt.want)
			}
		})
	}
	c := newCI(t, &corev1.ServiceAccount{ObjectMeta: meta("ci", "sa"), Secrets: []corev1.ObjectReference{{Name: "a"}}})
	_, err := c.PatchServiceAccount(t.Context(), "ci", "sa", types.StrategicMergePatchType, []byte(`{"secrets":[{"kind":"x"}]}`))
	checkError(t, err, metav1.StatusReasonBadRequest, "the strategic merge patch can't be applied: a list item has no merge key, or a directive is malformed")
	_, err = c.PatchServiceAccount(t.Context(), "ci", "sa", types.ApplyPatchType, []byte(`{}`))
	checkError(t, err, metav1.StatusReasonUnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json")
}

func TestDryRun(t *testing.T) {
	all := []string{metav1.DryRunAll}
	c := newCI(t, &corev1.ServiceAccount{ObjectMeta: meta("ci", "sa")})
	accounts := c.CoreV1().ServiceAccounts("ci")
	before := c.Revision()
	made := must[*corev1.ServiceAccount](t)(accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}}, metav1.CreateOptions{DryRun: all}))
	if made.Name == "" || made.UID == "" || made.ResourceVersion != "" {
		t.Errorf("a dry create gives %+v, want a name and a UID and no resourceVersion", made.ObjectMeta)
	}
	patched := must[*corev1.ServiceAccount](t)(accounts.Patch(t.Context(), "sa", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{DryRun: all}))
	if patched.Labels["a"] != "b" {
		t.Errorf("a dry patch gives %+v, want its result", patched)
	}
	patched.Labels["a"] = "c"
	must[*corev1.ServiceAccount](t)(accounts.Update(t.Context(), patched, metav1.UpdateOptions{DryRun: all}))
	if c.Revision() != before {
		t.Errorf("dry runs made revision %s, want %s", c.Revision(), before)
	}
	_, err := accounts.Update(t.Context(), patched, metav1.UpdateOptions{DryRun: []string{"Some"}})
	checkError(t, err, metav1.StatusReasonInvalid, `Options.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"`)
}

func FuzzPatch(f *testing.F) {
	f.Add(string(types.MergePatchType), []byte(`{"metadata":{"labels":{"a":null,"b":"2"}}}`))
	f.Add(string(types.JSONPatchType), []byte(`[{"op":"move","from":"/data/a","path":"/data/d"}]`))
	f.Add(string(types.StrategicMergePatchType), []byte(`{"$setElementOrder/secrets":[{"name":"c"}],"secrets":[{"$patch":"delete","name":"a"}]}`))
	f.Fuzz(func(t *testing.T, pt string, data []byte) {
		c := fake.New(&corev1.Pod{ObjectMeta: meta("ci", "p"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}}})
		before := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p"))
		got, err := c.PatchPod(t.Context(), "ci", "p", types.PatchType(pt), data)
		if err != nil {
			after := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p"))
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("a refused patch changed the pod (-before +after):\n%s", diff)
			}
			return
		}
		if got.Name != "p" || got.Namespace != "ci" || got.UID != before.UID {
			t.Errorf("the patch changed the identity: %+v", got.ObjectMeta)
		}
	})
}

// Unknown fields are refused, or not, as a patch wants; nothing is shown of it.
func TestPatchFieldValidation(t *testing.T) {
	const data = `{"metadata":{"labels":{"a":"b"}},"hunter":"hunter2"}`
	for validation, fails := range map[string]bool{"": false, "Ignore": false, "Warn": false, "Strict": true} {
		c := newCI(t, secretNamed("a"))
		got, err := c.Resource("secrets").Patch(t.Context(), "ci", "a", "", types.MergePatchType, []byte(data), metav1.PatchOptions{FieldValidation: validation})
		if (err != nil) != fails || err == nil && got.GetLabels()["a"] != "b" {
			t.Errorf("%q: Patch() = %v, %v", validation, got, err)
		}
		if fails {
			checkError(t, err, metav1.StatusReasonInvalid, ` "" is invalid: patch: Invalid value: "(not shown)": strict decoding error: unknown field "hunter"`)
		}
		if last := c.Actions()[len(c.Actions())-1]; string(last.Patch) != data {
			t.Errorf("%q: recorded the patch %s", validation, last.Patch)
		}
	}
	c := newCI(t, secretNamed("a"))
	for want, patch := range map[string]func() error{
		"resource name may not be empty": func() error {
			_, err := c.PatchSecret(t.Context(), "ci", "", types.MergePatchType, []byte(data))
			return err
		},
		`secrets "b" not found`: func() error {
			_, err := c.PatchSecret(t.Context(), "ci", "b", types.MergePatchType, []byte(data))
			return err
		},
		`Options.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"`: func() error {
			_, err := c.Resource("secrets").Patch(t.Context(), "ci", "a", "", types.MergePatchType, []byte(data), metav1.PatchOptions{DryRun: []string{"Some"}})
			return err
		},
		`Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again`: func() error {
			_, err := c.PatchSecret(t.Context(), "ci", "a", types.MergePatchType, []byte(`{"metadata":{"resourceVersion":"1"}}`))
			return err
		},
		`Secret "a" is invalid: metadata.uid: Invalid value: "other": field is immutable`: func() error {
			_, err := c.PatchSecret(t.Context(), "ci", "a", types.MergePatchType, []byte(`{"metadata":{"uid":"other"}}`))
			return err
		},
	} {
		if err := patch(); err == nil || err.Error() != want {
			t.Errorf("Patch() = %v, want %s", err, want)
		}
	}
}
