package admission_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/fake"
)

const servingSigner = "kubernetes.io/kube-apiserver-serving"

func bundles(c *admission.Config) { c.RootCASigner = servingSigner }

// CTB-16: the volume projects the bundles of the signer, all of them.
func TestRootCASigner(t *testing.T) {
	signer := servingSigner
	want := tokenVolume(tokenVolumeName)
	want.Projected.Sources[1] = corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{
		SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt",
	}}
	p := plugin(t, have(account("default")), bundles)
	in := pod()
	for range 2 { // ADM-7
		wantStatus(t, p.Admit(t.Context(), create(in)), nil)
		if diff := cmp.Diff([]corev1.Volume{want}, in.Spec.Volumes); diff != "" {
			t.Fatalf("volumes (-want +got):\n%s", diff)
		}
	}
	*in.Spec.Volumes[0].Projected.Sources[1].ClusterTrustBundle.SignerName = "x" // the pod's own
	if diff := cmp.Diff(want, volumeFor(t, tokenVolumeName, bundles)); diff != "" {
		t.Errorf("the next pod's volume (-want +got):\n%s", diff)
	}
	d, err := p.Decide(t.Context(), create(pod()))
	wantStatus(t, err, nil)
	if text := "it projects the token, the ClusterTrustBundles of " + servingSigner + " and the namespace"; !strings.Contains(d.String(), text) {
		t.Errorf("the decision is\n%s\nwant %q", d, text)
	}
	// The API server accepts such a pod.
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	in = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p"}}
	in.Spec.ServiceAccountName = "default"
	in.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	in.Spec.Volumes = []corev1.Volume{volumeFor(t, tokenVolumeName, bundles)}
	if _, err := cluster.CreatePod(t.Context(), in); err != nil {
		t.Error(err)
	}
}

// A volume of the pod's author is mounted only if it projects the same.
func TestTrustBundlesOfThePod(t *testing.T) {
	for i, vc := range admissiontest.TrustBundleChanges() {
		v := volumeFor(t, "kube-api-access-x", bundles)
		vc.Change(&v)
		in := pod(withVolumes(v))
		wantStatus(t, plugin(t, have(account("default")), bundles).Admit(t.Context(), create(in)), nil)
		if added := len(in.Spec.Volumes) == 2; added == (i < 2) {
			t.Errorf("%s: %d volumes", vc.Name, len(in.Spec.Volumes))
		}
	}
}

func TestRootCASignerConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*admission.Config)
		want   string
	}{
		{"of Kubernetes", bundles, ""},
		{"of one's own", func(c *admission.Config) { c.RootCASigner = "example.com/ns.name" }, ""},
		{"no domain", func(c *admission.Config) { c.RootCASigner = "serving" }, "RootCASigner is"},
		{"a domain of one part", func(c *admission.Config) { c.RootCASigner = "com/serving" }, "RootCASigner is"},
		{"no valid domain", func(c *admission.Config) { c.RootCASigner = "Example.com/serving" }, "RootCASigner is"},
		{"two slashes", func(c *admission.Config) { c.RootCASigner = "example.com/a/b" }, "RootCASigner is"},
		{"with a ConfigMap", func(c *admission.Config) { c.RootCASigner, c.RootCAConfigMap = servingSigner, "ca" }, "contradicts"},
		{"with Secrets", func(c *admission.Config) { c.RootCASigner, c.TokenVolume = servingSigner, admission.SecretBacked }, "contradicts"},
	} {
		cfg := admission.Config{ServiceAccounts: have(account("default")), WaitTimeout: time.Second}
		tt.change(&cfg)
		if _, err := admission.New(cfg); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: New() = %v, want %q", tt.name, err, tt.want)
		}
	}
}
