package apiserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/fault"
)

const apply = "Content-Type: application/apply-patch+yaml"

// Conflicts of server-side apply, word for word; what else it answers is compared with a
// real API server in internal/compat (SSA-1, SSA-11, SSA-22, SSA-23, SSA-31, SSA-32, SSA-33,
// SSA-47).
func TestApply(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	const path = "/api/v1/namespaces/ci/configmaps/settings?fieldManager="
	settings := func(data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {" + data + "}\n"
	}
	if code, body := a.do("PATCH "+path+"red", settings("a: '1', b: '1'"), apply); code != http.StatusCreated {
		t.Fatalf("apply of what isn't there = %d %s, want 201", code, body)
	}
	if code, body := a.do("PATCH "+path+"red", settings("a: '1', b: '1'"), apply); code != http.StatusOK {
		t.Errorf("apply of the same = %d %s, want 200", code, body)
	}
	code, body := a.do("PATCH "+path+"blue", settings("a: '2', b: '2'"), apply)
	checkStatus(t, code, body, 409, metav1.StatusReasonConflict, `Apply failed with 2 conflicts: conflicts with "red"`)
	var status metav1.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, cause := range status.Details.Causes {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			t.Errorf("got the cause %+v, want a conflict of managers", cause)
		}
		fields = append(fields, cause.Field)
	}
	if !slices.Equal(fields, []string{".data.a", ".data.b"}) {
		t.Errorf("the causes are about %q, want the two keys", fields)
	}
	code, body = a.do("PATCH "+path+"blue&force=true", settings("a: '2'"), apply)
	if code != http.StatusOK || !strings.Contains(body, `"a":"2","b":"1"`) {
		t.Errorf("apply by force = %d %s, want a to change", code, body)
	}
	code, body = a.do("PATCH "+path+"red", settings("b: '1'"), apply)
	if code != http.StatusOK || !strings.Contains(body, `"a":"2","b":"1"`) {
		t.Errorf("apply of what is left = %d %s, want no change", code, body)
	}

	// It is one call, with its faults, after which the controllers work.
	a.cluster.ClearActions()
	a.cluster.Inject(fault.First(1, "patch", "secrets", fault.Conflict))
	token := `{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
		"metadata": {"name": "applied", "annotations": {"kubernetes.io/service-account.name": "builder"}}}`
	code, body = a.do("PATCH /api/v1/namespaces/ci/secrets/applied?fieldManager=red", token, apply)
	checkStatus(t, code, body, 409, metav1.StatusReasonConflict, "")
	if code, body = a.do("PATCH /api/v1/namespaces/ci/secrets/applied?fieldManager=red", token, apply); code != http.StatusCreated {
		t.Errorf("apply of a token Secret = %d %s, want 201", code, body)
	}
	if s, err := a.cluster.GetSecret(t.Context(), "ci", "applied"); err != nil || len(s.Data["token"]) == 0 {
		t.Errorf("the token Secret is %v, %v, want it filled", s, err)
	}
	if first := a.cluster.Actions()[0]; first.PatchType != types.ApplyYAMLPatchType || first.Op.String() != "patch secrets ci/applied" {
		t.Errorf("the first action is %v", first)
	}
}

// A client that doesn't say who owns what it writes is known by its program (SSA-25).
func TestOwnersOfFields(t *testing.T) {
	for agent, want := range map[string]string{
		"kubectl/v1.37.0 (linux/amd64)": "kubectl",
		"curl":                          "curl",
		"caf\u00e9\x7f/1":               "café",
		strings.Repeat("é", 100):        strings.Repeat("é", 64),
	} {
		a := newAPI(t, apiserver.Config{})
		a.do("POST /api/v1/namespaces/ci/configmaps", `{"metadata": {"name": "settings"}, "data": {"a": "1"}}`, "User-Agent: "+agent)
		stored, err := a.cluster.GetConfigMap(t.Context(), "ci", "settings")
		if err != nil || len(stored.ManagedFields) != 1 || stored.ManagedFields[0].Manager != want {
			t.Errorf("%q: got %+v, %v, want the manager %q", agent, stored, err, want)
		}
	}
}

// A Pod that is applied is admitted as one that is created or updated (SSA-11), once more if
// it changes meanwhile (SSA-15).
func TestApplyAdmits(t *testing.T) {
	var asked []apiserver.PodOperation
	var during func()
	a := newAPI(t, apiserver.Config{AdmitPod: func(_ context.Context, op apiserver.PodOperation) error {
		if asked = append(asked, op); during != nil {
			during()
		}
		if op.Pod.Labels["evil"] != "" {
			return errors.New("evil")
		}
		if op.Operation == admissionv1.Create {
			op.Pod.Spec.Containers[0].Image = "admitted"
		} else {
			op.Pod.Spec.Containers[0].Image = "ignored"
		}
		return nil
	}})
	pod := func(more string) string {
		return `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"` + more + `}, "spec": {"containers": [{"name": "main", "image": "asked"}]}}`
	}
	do := func(body string, want int) *corev1.Pod {
		t.Helper()
		asked = nil
		code, answer := a.do("PATCH /api/v1/namespaces/ci/pods/new?fieldManager=red", body, apply)
		var got corev1.Pod
		if code != want {
			t.Fatalf("got %d %s, want %d", code, answer, want)
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil && code < 300 {
			t.Fatal(err)
		}
		return &got
	}
	do(pod(`, "labels": {"evil": "yes"}`), http.StatusInternalServerError)
	if _, err := a.cluster.GetPod(t.Context(), "ci", "new"); err == nil {
		t.Error("the denied Pod was created")
	}
	created := do(pod(""), http.StatusCreated)
	if created.Spec.Containers[0].Image != "admitted" || len(asked) != 1 || asked[0].Operation != admissionv1.Create || asked[0].Old != nil || asked[0].Name != "new" || asked[0].Namespace != "ci" {
		t.Errorf("created %+v, asked %+v", created.Spec, asked)
	}
	do(pod(`, "labels": {"evil": "yes"}`), http.StatusInternalServerError)

	// The Pod that changes while its successor is admitted is applied to once more.
	during = func() {
		during = nil
		if _, err := a.cluster.PatchPod(t.Context(), "ci", "new", types.MergePatchType, []byte(`{"metadata": {"labels": {"meanwhile": "yes"}}}`)); err != nil {
			t.Error(err)
		}
	}
	updated := do(strings.Replace(pod(`, "labels": {"a": "b"}`), "asked", "admitted", 1), http.StatusOK)
	if updated.Labels["a"] != "b" || updated.Labels["meanwhile"] != "yes" || updated.Spec.Containers[0].Image != "admitted" {
		t.Errorf("updated %+v", updated)
	}
	if len(asked) != 2 || asked[1].Operation != admissionv1.Update || asked[1].Old.Labels["meanwhile"] != "yes" || asked[1].Pod.Labels["meanwhile"] != "yes" {
		t.Errorf("asked %+v, want once more about the Pod that is there now", asked)
	}
}
