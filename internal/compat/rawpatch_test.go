package compat

import (
	"encoding/json"
	"net/http"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// The patch of the webhook, applied by the library that API servers apply patches
// with, makes of a generated pod what Admit makes of it, and leaves alone what
// neither of them knows.
func TestPatchesApplied(t *testing.T) {
	plugin := must(admission.New(admission.Config{ServiceAccounts: oneAccount{&corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "builder"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
	}}, NewName: func(base string) string { return base + "abcde" }}))
	handler := must(webhook.New(plugin, webhook.Config{}))
	patched := 0
	for i := range uint64(2_000) {
		pod := newPod(generate.New(11, i))
		pod.Name, pod.Namespace = "web", "team"
		raw := withUnknown(t, pod)
		review := must(json.Marshal(&admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Request: &admissionv1.AdmissionRequest{
				UID: "1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
				Namespace: "team", Name: "web", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
			},
		}))
		w := postReview(handler, string(review))
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &answer); w.Code != http.StatusOK || err != nil {
			t.Fatalf("case %d: HTTP %d %v: %s", i, w.Code, err, w.Body)
		}
		var want corev1.Pod
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		refusal := plugin.Admit(t.Context(), admission.Request{Operation: admissionv1.Create, Namespace: "team", Name: "web", Pod: &want})
		if answer.Response.Allowed != (refusal == nil) {
			t.Fatalf("case %d: allowed %t, Admit says %v", i, answer.Response.Allowed, refusal)
		}
		if refusal != nil {
			continue
		}
		result := raw
		if len(answer.Response.Patch) > 0 {
			patched++
			patch, err := jsonpatch.DecodePatch(answer.Response.Patch)
			if err != nil {
				t.Fatalf("case %d: %v in %s", i, err, answer.Response.Patch)
			}
			if result, err = patch.Apply(raw); err != nil {
				t.Fatalf("case %d: %v in %s of %s", i, err, answer.Response.Patch, raw)
			}
		}
		var got corev1.Pod
		if err := json.Unmarshal(result, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, &got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("case %d (-Admit +patch):\n%s\npod %s", i, d, raw)
		}
		if was, is := unknownMembers(t, raw), unknownMembers(t, result); !cmp.Equal(was, is) {
			t.Fatalf("case %d: unknown members changed: %s", i, cmp.Diff(was, is))
		}
	}
	if patched < 400 {
		t.Errorf("only %d pods were patched", patched)
	}
}

// withUnknown returns pod in JSON, with members that no version has yet.
func withUnknown(t *testing.T, pod *corev1.Pod) []byte {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(must(json.Marshal(pod)), &fields); err != nil {
		t.Fatal(err)
	}
	fields["apiVersion"], fields["kind"], fields["future"] = "v1", "Pod", map[string]any{"n": 1e21, "list": []any{nil, "x"}}
	spec := fields["spec"].(map[string]any)
	spec["futureSpec"] = "<&>"
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		elements, _ := spec[list].([]any)
		for _, element := range elements {
			element.(map[string]any)["futureMember"] = list
		}
	}
	return must(json.Marshal(fields))
}

// unknownMembers returns what withUnknown has put into a pod and is still there.
func unknownMembers(t *testing.T, raw []byte) []any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	spec := fields["spec"].(map[string]any)
	found := []any{fields["future"], spec["futureSpec"]}
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		elements, _ := spec[list].([]any)
		for _, element := range elements {
			if value, ok := element.(map[string]any)["futureMember"]; ok {
				found = append(found, value)
			}
		}
	}
	return found
}
