package fake_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake"
)

// What is empty comes back as from an API server: lists and maps are nil, also
// deep in a pod and when they were loaded, and a value in a map stays.
func TestEmptyIsNil(t *testing.T) {
	pod := goodPod("p")
	pod.Labels, pod.Finalizers = map[string]string{}, []string{}
	pod.Spec.Volumes, pod.Spec.NodeSelector = []corev1.Volume{}, map[string]string{}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{SupplementalGroups: []int64{}}
	want := goodPod("p").Spec
	want.SecurityContext = &corev1.PodSecurityContext{}

	c := newCI(t, pod)
	loaded := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p"))
	pod.Name = "q"
	created := must[*corev1.Pod](t)(c.CreatePod(t.Context(), pod))
	for _, got := range []*corev1.Pod{loaded, created} {
		if got.Labels != nil || got.Finalizers != nil {
			t.Errorf("%s has labels %#v and finalizers %#v, want nil", got.Name, got.Labels, got.Finalizers)
		}
		spec := corev1.PodSpec{
			ServiceAccountName: got.Spec.ServiceAccountName, Containers: got.Spec.Containers, Volumes: got.Spec.Volumes,
			NodeSelector: got.Spec.NodeSelector, SecurityContext: got.Spec.SecurityContext,
		}
		if diff := cmp.Diff(want, spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", got.Name, diff)
		}
	}
	if pod.Labels == nil || pod.Spec.Containers[0].Env == nil {
		t.Error("the caller's object was changed")
	}

	var cluster fake.Cluster
	must[*corev1.Namespace](t)(cluster.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: meta("", "ci")}))
	secret := &corev1.Secret{ObjectMeta: meta("ci", "s"), Data: map[string][]byte{"nil": nil}}
	secret = must[*corev1.Secret](t)(cluster.CreateSecret(t.Context(), secret))
	if diff := cmp.Diff(map[string][]byte{"nil": {}}, secret.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}
