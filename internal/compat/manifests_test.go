package compat

import (
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
)

// certManager is what the API server has to know of cert-manager's kinds to store them.
func certManager() string {
	var all []string
	for plural, kind := range map[string]string{"certificates": "Certificate", "issuers": "Issuer"} {
		all = append(all, fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s.cert-manager.io}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {plural: %[1]s, singular: %s, kind: %s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, plural, strings.ToLower(kind), kind))
	}
	return strings.Join(all, "---\n")
}

// The manifests are what a real API server takes, without a field that it doesn't know,
// twice. After that pods wait for the webhook, but for those of what it needs itself; its
// own pods satisfy the policy of their namespace.
func TestManifests(t *testing.T) {
	key := must(keys.Generate("ES256"))
	server := must(controlplane.Start(t.Context(), controlplane.Config{
		Issuer: "https://issuer.example", Audiences: []string{"api"}, SigningKey: key, PublicKeys: []crypto.PublicKey{key.Public()},
	}))
	t.Cleanup(func() { server.Stop() })
	kubectl := func(args ...string) {
		t.Helper()
		if out, err := server.Kubectl(t.Context(), args...); err != nil || strings.Contains(strings.ToLower(string(out)), "warning") {
			t.Fatalf("kubectl %q: %v\n%s", args, err, out)
		}
	}
	crds := filepath.Join(t.TempDir(), "crds.yaml")
	if err := os.WriteFile(crds, []byte(certManager()), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("apply", "--server-side", "-f", crds)
	kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	manifests := []string{"../../sacontroller/manager/cmd/serviceaccount-manager/manifests", "../../examples/webhook/manifests"}
	for range 2 {
		for _, folder := range manifests {
			kubectl("apply", "--server-side", "--validate=strict", "-k", folder)
		}
	}
	client := must(kubernetes.NewForConfig(server.Admin()))

	webhook := must(client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "serviceaccount", metav1.GetOptions{})).Webhooks[0]
	if *webhook.FailurePolicy != admissionregistrationv1.Fail || *webhook.SideEffects != admissionregistrationv1.SideEffectClassNone {
		t.Errorf("the webhook has the failure policy %s and side effects %s", *webhook.FailurePolicy, *webhook.SideEffects)
	}
	for _, d := range []struct{ namespace, name, image string }{
		{"serviceaccount-webhook", "webhook", "registry.example/serviceaccount-webhook:v0.1.0"},
		{"kube-system", "serviceaccount-manager", "registry.example/serviceaccount-manager:v0.1.0"},
	} {
		deployment := must(client.AppsV1().Deployments(d.namespace).Get(t.Context(), d.name, metav1.GetOptions{}))
		if got := deployment.Spec.Template.Spec.Containers[0].Image; got != d.image || *deployment.Spec.Replicas != 2 {
			t.Errorf("%s has the image %s and %d replicas, want %s and 2", d.name, got, *deployment.Spec.Replicas, d.image)
		}
		budget := must(client.PolicyV1().PodDisruptionBudgets(d.namespace).Get(t.Context(), d.name, metav1.GetOptions{}))
		if !selects(budget.Spec.Selector, deployment) {
			t.Errorf("the budget of %s doesn't select its pods", d.name)
		}
		pod := &corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
		pod.Name, pod.Namespace = "own", d.namespace
		created, err := client.CoreV1().Pods(d.namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Errorf("the pod of %s: %v", d.name, err)
			continue
		}
		if _, err := client.CoreV1().ServiceAccounts(d.namespace).Get(t.Context(), created.Spec.ServiceAccountName, metav1.GetOptions{}); err != nil {
			t.Errorf("the account of %s: %v", d.name, err)
		}
	}
	_, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "serviceaccount.kubesa.github.com"`) {
		t.Errorf("another pod without the webhook: %v, want that it fails", err)
	}
}

func selects(selector *metav1.LabelSelector, deployment *appsv1.Deployment) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(deployment.Spec.Template.Labels))
}
