package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	crwebhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// A podWebhook is a Plugin as controller-runtime's typed defaulter and validator: all
// that it takes to use one there.
type podWebhook struct{ plugin *admission.Plugin }

var (
	_ crwebhook.Defaulter[*corev1.Pod] = podWebhook{}
	_ crwebhook.Validator[*corev1.Pod] = podWebhook{}
)

// podRequest takes from ctx what controller-runtime knows of the request.
func podRequest(ctx context.Context, pod *corev1.Pod) (admission.Request, error) {
	req, err := crwebhook.RequestFromContext(ctx)
	return admission.Request{
		Operation: req.Operation, Namespace: req.Namespace, Name: req.Name, Subresource: req.SubResource, Pod: pod,
	}, err
}

func (w podWebhook) Default(ctx context.Context, pod *corev1.Pod) error {
	req, err := podRequest(ctx, pod)
	if err != nil {
		return err
	}
	return w.plugin.Admit(ctx, req)
}

func (w podWebhook) validate(ctx context.Context, pod *corev1.Pod) (crwebhook.Warnings, error) {
	req, err := podRequest(ctx, pod)
	if err != nil {
		return nil, err
	}
	return nil, w.plugin.Validate(ctx, req)
}

func (w podWebhook) ValidateCreate(ctx context.Context, pod *corev1.Pod) (crwebhook.Warnings, error) {
	return w.validate(ctx, pod)
}

func (w podWebhook) ValidateUpdate(ctx context.Context, _, pod *corev1.Pod) (crwebhook.Warnings, error) {
	return w.validate(ctx, pod)
}

func (podWebhook) ValidateDelete(context.Context, *corev1.Pod) (crwebhook.Warnings, error) {
	return nil, nil
}

type oneAccount struct{ account *corev1.ServiceAccount }

func (o oneAccount) GetServiceAccount(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return o.account, nil
}

// webhooks returns controller-runtime's webhook and ours, of one plugin.
func webhooks(t testing.TB) map[string]http.Handler {
	t.Helper()
	plugin, err := admission.New(admission.Config{ServiceAccounts: oneAccount{&corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
	}}, NewName: func(base string) string { return base + "abcde" }})
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return map[string]http.Handler{
		"upstream": crwebhook.WithDefaulter(scheme, podWebhook{plugin}),
		"ours":     must(webhook.New(plugin, webhook.Config{})),
	}
}

func podReview(t testing.TB, containers int) string {
	t.Helper()
	on, grace, uid := true, int64(30), int64(1000)
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-6d4b75cb6d-", Labels: map[string]string{"app": "web", "pod-template-hash": "6d4b75cb6d"}},
		Spec: corev1.PodSpec{
			RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler", TerminationGracePeriodSeconds: &grace, EnableServiceLinks: &on,
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	for i := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: fmt.Sprintf("c%d", i), Image: "registry.example.com/shop/web:1.2.3", ImagePullPolicy: "IfNotPresent",
			Args: []string{"--listen=:8080", "--log-level=info"}, Ports: []corev1.ContainerPort{{ContainerPort: 8080, Protocol: "TCP"}},
			Env:                    []corev1.EnvVar{{Name: "MODE", Value: "production"}},
			VolumeMounts:           []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
			SecurityContext: &corev1.SecurityContext{RunAsUser: &uid, RunAsNonRoot: &on},
		})
	}
	object, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	review, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "3a1c7a43", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Namespace: "team", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(review)
}

func postReview(h http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Both webhooks allow the pod and patch it; that the patches do what Admit does is
// tested beside the handler.
func TestControllerRuntimeWebhook(t *testing.T) {
	for impl, h := range webhooks(t) {
		var got admissionv1.AdmissionReview
		w := postReview(h, podReview(t, 2))
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Response == nil || !got.Response.Allowed || got.Response.UID != "3a1c7a43" {
			t.Fatalf("%s: got %s (%v), want it allowed", impl, w.Body, err)
		}
	}
}

func BenchmarkWebhook(b *testing.B) {
	for _, containers := range []int{1, 10} {
		body := podReview(b, containers)
		for impl, h := range webhooks(b) {
			b.Run(fmt.Sprintf("containers=%d/impl=%s", containers, impl), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if w := postReview(h, body); w.Code != http.StatusOK {
						b.Fatalf("got HTTP %d", w.Code)
					}
				}
			})
		}
	}
}
