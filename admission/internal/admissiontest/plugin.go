package admissiontest

import (
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
)

// FixedName makes the names of new volumes the same each time.
func FixedName(base string) string { return base + "abc12" }

// TokenVolumeName is the name of new token volumes.
const TokenVolumeName = "kube-api-access-abc12"

// Plugin returns a Plugin over o, with fixed names.
func Plugin(t testing.TB, o *Objects, changes ...func(*admission.Config)) *admission.Plugin {
	t.Helper()
	cfg := admission.Config{ServiceAccounts: o, NewName: FixedName, DisableWait: true}
	for _, change := range changes {
		change(&cfg)
	}
	p, err := admission.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Strict sets Strict.
func Strict(c *admission.Config) { c.Strict = true }

// Limit sets LimitSecretReferences.
func Limit(c *admission.Config) { c.LimitSecretReferences = true }

// Create returns the request to create p.
func Create(p *corev1.Pod) admission.Request {
	return admission.Request{Operation: admissionv1.Create, Namespace: "shop", Name: "web", Pod: p}
}

// UpdateEphemeral returns the request to update the ephemeral containers of p.
func UpdateEphemeral(p *corev1.Pod) admission.Request {
	return admission.Request{Operation: admissionv1.Update, Namespace: "shop", Name: "web", Subresource: "ephemeralcontainers", Pod: p}
}

// Forbidden is the status of a refusal whose text about the pod "web" is why.
func Forbidden(why string) *metav1.Status {
	return Unwrapped(`pods "web" is forbidden: ` + why)
}

// Unwrapped is the status of a denial whose text is message.
func Unwrapped(message string) *metav1.Status {
	return &metav1.Status{
		Status: "Failure", Code: http.StatusForbidden, Reason: "Forbidden", Message: message,
		Details: &metav1.StatusDetails{Name: "web", Kind: "pods"},
	}
}

// Retry makes s retryable.
func Retry(s *metav1.Status) *metav1.Status {
	s.Details.RetryAfterSeconds = 1
	return s
}
