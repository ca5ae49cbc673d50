package objects_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

var texts = []string{
	"a", "0", "a-b", "a.b", "a--b", "kube-root-ca.crt", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 254),
	"", "-", "-a", "a-", ".", "..", "...", ".a", "a.", "a..b", "A", "a_b", "a b", "a/b", "/a", "a/", "a%2fb", "%", "ä", "a\x00", "a\n", "\u212a", "a?b", "a#b", "a\\b",
	"../../../namespaces/kube-system/secrets/x", "system:node:a",
}

// Names are valid as Kubernetes' own validation says.
func TestNames(t *testing.T) {
	for _, name := range texts {
		if got, want := objects.SegmentProblem(name), content.IsPathSegmentName(name); len(want) > 0 && got != want[0] || len(want) == 0 && got != "" {
			t.Errorf("SegmentProblem(%q) = %q, want %q", name, got, want)
		}
		if got, want := objects.ValidSegment(name), name != "" && len(name) <= 253 && len(content.IsPathSegmentName(name)) == 0; got != want {
			t.Errorf("ValidSegment(%q) = %v, want %v", name, got, want)
		}
		for account, want := range map[[2]string]bool{
			{"ci", name}:      len(validation.IsDNS1123Subdomain(name)) == 0,
			{name, "builder"}: len(validation.IsDNS1123Label(name)) == 0,
		} {
			if got := objects.ValidAccount(account[0], account[1]); got != want {
				t.Errorf("ValidAccount(%q) = %v, want %v", account, got, want)
			}
		}
	}
}

func TestValidKind(t *testing.T) {
	for kind, want := range map[schema.GroupVersionKind]bool{
		{Version: "v1", Kind: "Pod"}:                        true,
		{Group: "batch", Version: "v1", Kind: "Job"}:        true,
		{Group: "a.example", Version: "v1beta1", Kind: "T"}: true,
		{}:                              false,
		{Group: "batch", Kind: "Job"}:   false,
		{Group: "batch", Version: "v1"}: false,
		{Group: "../..", Version: "v1", Kind: "Job"}:          false,
		{Group: "batch", Version: "..", Kind: "Job"}:          false,
		{Group: "batch", Version: "v1/a", Kind: "Job"}:        false,
		{Group: "batch", Version: "v1", Kind: "../secrets"}:   false,
		{Group: "batch", Version: "v1", Kind: "Job/status"}:   false,
		{Version: "v1", Kind: strings.Repeat("K", 64)}:        false,
		{Version: "v1", Kind: "Pod "}:                         false,
		{Group: "batch", Version: "v1", Kind: "J\u00f6b"}:     false,
		{Group: "batch", Version: "v1", Kind: "Job\u212a"}:    false,
		{Group: "Batch", Version: "v1", Kind: "Job"}:          false,
		{Group: "batch", Version: "V1", Kind: "Job"}:          false,
		{Group: "batch", Version: "v1", Kind: "job-\u017fet"}: false,
	} {
		if got := objects.ValidKind(kind); got != want {
			t.Errorf("ValidKind(%v) = %v, want %v", kind, got, want)
		}
	}
}

// A kind is of letters and digits of ASCII, up to 63.
func TestValidKindBytes(t *testing.T) {
	for c := range 256 {
		b := byte(c)
		want := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
		for _, kind := range []string{string([]byte{b}), string([]byte{'K', b}), string([]byte{b, 'K'})} {
			if got := objects.ValidKind(schema.GroupVersionKind{Version: "v1", Kind: kind}); got != want {
				t.Errorf("ValidKind(%q) = %v, want %v", kind, got, want)
			}
		}
	}
	for n, want := range map[int]bool{62: true, 63: true, 64: false} {
		if got := objects.ValidKind(schema.GroupVersionKind{Version: "v1", Kind: strings.Repeat("K", n)}); got != want {
			t.Errorf("ValidKind() of %d letters = %v, want %v", n, got, want)
		}
	}
}

// The kinds that Kubernetes itself binds tokens to, in any version.
func TestIsBuiltIn(t *testing.T) {
	const webhooks = "admissionregistration.k8s.io"
	for kind, want := range map[schema.GroupVersionKind]bool{
		{Version: "v1", Kind: "Pod"}: true, {Version: "v1", Kind: "Secret"}: true, {Version: "v1", Kind: "Node"}: true, {Version: "v2", Kind: "Pod"}: true,
		{Group: webhooks, Version: "v1", Kind: "ValidatingWebhookConfiguration"}: true, {Group: webhooks, Version: "v1", Kind: "MutatingWebhookConfiguration"}: true,
		{}: false, {Version: "v1", Kind: "ConfigMap"}: false, {Version: "v1", Kind: "ValidatingWebhookConfiguration"}: false,
		{Group: webhooks, Version: "v1", Kind: "Pod"}: false, {Group: webhooks, Version: "v1", Kind: "ValidatingAdmissionPolicy"}: false,
		{Group: "batch", Version: "v1", Kind: "Job"}: false, {Group: "example.org", Version: "v1", Kind: "Pod"}: false,
	} {
		if got := objects.IsBuiltIn(kind); got != want {
			t.Errorf("IsBuiltIn(%v) = %v, want %v", kind, got, want)
		}
	}
}
