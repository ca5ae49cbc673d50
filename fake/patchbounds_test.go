package fake_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A short patch can't make a document that is too large or too deep to hold:
// it is refused before, not after.
func TestJSONPatchBounds(t *testing.T) {
	repeat := func(step string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(step+",", n), ",") + "]"
	}
	deep := strings.Repeat("/a", 900)
	wrap := `{"op":"add","path":"/x","value":` + strings.Repeat(`{"a":`, 900) + `1` + strings.Repeat("}", 900) + `},` +
		`{"op":"move","from":"/data","path":"/x` + deep + `"},{"op":"move","from":"/x","path":"/data"}`
	for _, tt := range []struct{ name, patch, want string }{
		{"doubling", repeat(`{"op":"copy","from":"/data","path":"/data/b"},{"op":"copy","from":"/data","path":"/data/c"}`, 20), "exceeding the limit 3145728"},
		{"nesting", repeat(wrap, 4), "the patch does not give a valid ConfigMap"},
		{"a long path", `[{"op":"remove","path":"` + strings.Repeat("/a", 1001) + `"}]`, "a path has more than 1000 parts"},
		{"many steps", repeat(`{"op":"test","path":"/data/a","value":"1"}`, 10001), "The allowed maximum operations in a JSON patch is 10000, got 10001"},
	} {
		c := newCI(t, &corev1.ConfigMap{ObjectMeta: meta("ci", "m"), Data: map[string]string{"a": "1"}})
		_, err := c.PatchConfigMap(t.Context(), "ci", "m", types.JSONPatchType, []byte(tt.patch))
		if err == nil || !strings.Contains(err.Error(), tt.want) || apierrors.ReasonForError(err) == "" {
			text := "nothing"
			if err != nil {
				text = err.Error()[:min(200, len(err.Error()))]
			}
			t.Errorf("%s: got %s, want an error with %q", tt.name, text, tt.want)
		}
	}
}

// Lists of structs that are inlined into others are merged by their keys, too.
func TestStrategicMergePatchOfInlinedFields(t *testing.T) {
	pod := goodPod("p")
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}
	debug.Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	c := newCI(t, pod)
	const patch = `{"spec": {"ephemeralContainers": [{"name": "debug", "env": [{"name": "A", "value": "1"}]}, {"name": "more", "image": "busybox"}]}}`
	client := c.CoreV1().Pods("ci")
	got, err := client.Patch(t.Context(), "p", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "ephemeralcontainers")
	if err != nil {
		t.Fatal(err)
	}
	more := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "more", Image: "busybox"}}
	if diff := cmp.Diff([]corev1.EphemeralContainer{debug, more}, got.Spec.EphemeralContainers); diff != "" {
		t.Errorf("ephemeral containers (-want +got):\n%s", diff)
	}
}
