package fake_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

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
