package rootca

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret/tokensecrettest"
)

func goodRootCA() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kube-root-ca.crt", Namespace: "ns",
			Annotations: map[string]string{
				"kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
			},
		},
		Data: map[string]string{"ca.crt": "CA Data"},
	}
}

// RCA-2, RCA-4, RCA-8..10, RCA-T1, RCA-T2
func TestPlanRootCA(t *testing.T) {
	good := func(mutate func(*corev1.ConfigMap)) *corev1.ConfigMap {
		m := goodRootCA()
		if mutate != nil {
			mutate(m)
		}
		return m
	}
	tests := []struct {
		name    string
		current *corev1.ConfigMap
		want    *corev1.ConfigMap // nil: nothing to do
	}{
		{name: "absent", want: goodRootCA()},
		{name: "good", current: goodRootCA()},
		{name: "another description", current: good(func(m *corev1.ConfigMap) { m.Annotations["kubernetes.io/description"] = "ours" })},
		{name: "other annotations and labels", current: good(func(m *corev1.ConfigMap) { m.Annotations["a"], m.Labels = "b", map[string]string{"c": "d"} })},
		{name: "binary data", current: good(func(m *corev1.ConfigMap) { m.BinaryData = map[string][]byte{"x": {1}} })},
		{name: "no description", current: good(func(m *corev1.ConfigMap) { m.Annotations = nil }), want: goodRootCA()},
		{name: "empty description", current: good(func(m *corev1.ConfigMap) { m.Annotations["kubernetes.io/description"] = "" }), want: goodRootCA()},
		{name: "no data", current: good(func(m *corev1.ConfigMap) { m.Data = nil }), want: goodRootCA()},
		{name: "another CA", current: good(func(m *corev1.ConfigMap) { m.Data["ca.crt"] = "x" }), want: goodRootCA()},
		{name: "another key", current: good(func(m *corev1.ConfigMap) { m.Data["foo"] = "bar" }), want: goodRootCA()},
		{name: "being deleted", current: good(func(m *corev1.ConfigMap) { m.Data, m.DeletionTimestamp = nil, &tokensecrettest.DeletedAt })},
		{
			name: "wrong beside what is not ours",
			current: good(func(m *corev1.ConfigMap) {
				m.Data["foo"], m.BinaryData = "bar", map[string][]byte{"x": {1}}
				m.Labels, m.ResourceVersion = map[string]string{"c": "d"}, "7"
				m.Annotations["a"], m.Annotations["kubernetes.io/description"] = "b", "ours"
			}),
			want: good(func(m *corev1.ConfigMap) {
				m.BinaryData, m.Labels, m.ResourceVersion = map[string][]byte{"x": {1}}, map[string]string{"c": "d"}, "7"
				m.Annotations["a"] = "b"
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.current.DeepCopy()
			got := planRootCA(tt.current, "ns", []byte("CA Data"))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("planRootCA() (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.current); diff != "" {
				t.Errorf("planRootCA changed its argument (-before +after):\n%s", diff)
			}
			if got != nil && planRootCA(got, "ns", []byte("CA Data")) != nil {
				t.Error("planRootCA() of its own result asks for another write, want none")
			}
		})
	}
}
