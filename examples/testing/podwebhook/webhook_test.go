package podwebhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/examples/testing/podwebhook"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// send posts a review of the creation of pod, as an API server does.
func send(t *testing.T, server *httptest.Server, pod *corev1.Pod) *admissionv1.AdmissionResponse {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Create, Namespace: pod.Namespace, Name: pod.Name,
			Kind:     metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object:   runtime.RawExtension{Raw: raw},
		},
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Post(server.URL+"/admit", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the webhook answers %s, want a review", answer.Status)
	}
	review = admissionv1.AdmissionReview{}
	if err := json.NewDecoder(answer.Body).Decode(&review); err != nil || review.Response == nil {
		t.Fatalf("the webhook answers no review: %v", err)
	}
	return review.Response
}

func TestWebhook(t *testing.T) {
	never := false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/cart"}}},
	}
	tests := []struct {
		name    string
		account *corev1.ServiceAccount
		fault   *fault.Fault
		change  func(*corev1.Pod)
		patch   []string // what the patch has in it
		without string   // and what it hasn't
		refusal string   // empty if the pod is allowed
	}{
		{
			name:    "the default account",
			account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}},
			patch:   []string{`"path":"/spec/serviceAccountName","value":"default"`, `"serviceAccountToken"`, "/var/run/secrets/kubernetes.io/serviceaccount"},
		},
		{
			name: "an account with a pull secret",
			account: &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
			},
			change: func(p *corev1.Pod) { p.Spec.ServiceAccountName = "cart" },
			patch:  []string{`"path":"/spec/imagePullSecrets","value":[{"name":"registry"}]`},
		},
		{
			name: "an account whose pods get no token",
			account: &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}, AutomountServiceAccountToken: &never,
			},
			patch: []string{`"value":"default"`}, without: "serviceAccountToken",
		},
		{
			name: "no such account", change: func(p *corev1.Pod) { p.Spec.ServiceAccountName = "nobody" },
			refusal: `pods "cart" is forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found`,
		},
		{
			name:    "no answer about the account",
			account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}},
			fault:   fault.On("get", "serviceaccounts", fault.Timeout),
			refusal: "Timeout",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
			if tt.account != nil {
				if err := cluster.Load(tt.account); err != nil {
					t.Fatal(err)
				}
			}
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			var log []string
			handler, err := podwebhook.New(cluster, func(namespace string, err error) { log = append(log, fmt.Sprint(namespace, ": ", err)) })
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(handler)
			sent := pod.DeepCopy()
			if tt.change != nil {
				tt.change(sent)
			}
			response := send(t, server, sent)
			server.Close()                                      // waits for the handler, which writes the log
			if unfired := cluster.Unfired(); len(unfired) > 0 { // then nothing was tested
				t.Errorf("faults that never fired: %v", unfired)
			}

			if tt.refusal != "" {
				if response.Allowed || response.Result == nil || !strings.Contains(response.Result.Message, tt.refusal) {
					t.Errorf("the answer is %+v, want a refusal with %q", response.Result, tt.refusal)
				}
				if len(log) != 1 || !strings.Contains(log[0], tt.refusal) {
					t.Errorf("the log is %q, want the refusal", log)
				}
				return
			}
			if !response.Allowed {
				t.Fatalf("the pod is refused: %+v\n%s", response.Result, fake.FormatActions(cluster.Actions()))
			}
			for _, part := range tt.patch {
				if !strings.Contains(string(response.Patch), part) {
					t.Errorf("the patch is %s, want %s in it", response.Patch, part)
				}
			}
			if tt.without != "" && strings.Contains(string(response.Patch), tt.without) {
				t.Errorf("the patch is %s, want no %s in it", response.Patch, tt.without)
			}
		})
	}
}
