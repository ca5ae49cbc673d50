package fake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

func join(list []string) string { return strings.Join(list, " ") }

func TestReaderLags(t *testing.T) {
	c := newCI(t)
	r := c.Reader()
	seen := func() string {
		var names []string
		for _, s := range must[[]*corev1.Secret](t)(r.ListSecrets(t.Context(), "ci")) {
			names = append(names, s.Name)
		}
		return join(names)
	}
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("a")))
	if got := seen(); got != "a" {
		t.Errorf("a Reader without lag sees %q, want a", got)
	}
	r.Lag(2)
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("c")))
	if got := seen(); got != "a" {
		t.Errorf("two revisions behind it sees %q, want still a", got)
	}
	if err := c.DeleteSecret(t.Context(), "ci", "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := seen(); got != "a b" {
		t.Errorf("after one more change it sees %q, want a b", got)
	}
	r.CatchUp()
	if got := seen(); got != "b c" {
		t.Errorf("after CatchUp it sees %q, want b c", got)
	}
	if a := c.Writes(); len(a) != len(c.Actions()) {
		t.Errorf("reads of a Reader were recorded:\n%s", fake.FormatActions(c.Actions()))
	}
}

// SAC-4, SAC-8
func TestReaderFaults(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	r := c.Reader()
	broken := errors.New("cache broken")
	r.Inject(fault.Nth(1, "get", "secrets", broken))
	if _, err := r.GetSecret(t.Context(), "ci", "a"); err != broken {
		t.Errorf("get = %v, want %v", err, broken)
	}
	r.Inject(fault.On("", "", broken))
	if _, err := r.TokenSecrets(t.Context(), "ci", "a"); err != broken {
		t.Errorf("TokenSecrets() = %v, want %v", err, broken)
	}
	r.ClearFaults()
	if _, err := r.GetSecret(t.Context(), "ci", "a"); err != nil {
		t.Errorf("get = %v after the faults are gone, want none", err)
	}
	if _, err := c.GetSecret(t.Context(), "ci", "a"); err != nil {
		t.Errorf("get from the cluster = %v, want none", err)
	}
	_, err := r.GetNode(t.Context(), "n")
	checkError(t, err, metav1.StatusReasonNotFound, `nodes "n" not found`)
}

// F04
func TestMergePatch(t *testing.T) {
	tests := []struct {
		name, patch string
		want        string // labels
		reason      metav1.StatusReason
		text        string
	}{
		{name: "add and remove", patch: `{"metadata":{"labels":{"a":null,"b":"2"}}}`, want: "b=2"},
		{name: "remove all", patch: `{"metadata":{"labels":null}}`, want: ""},
		{name: "own UID and resourceVersion", patch: `{"metadata":{"uid":"u1","resourceVersion":"2","labels":{"c":"3"}}}`, want: "a=1,c=3"},
		{"UID of another", `{"metadata":{"uid":"u2","labels":{"c":"3"}}}`, "", metav1.StatusReasonInvalid, `Secret "s" is invalid: metadata.uid: Invalid value: "u2": field is immutable`},
		{"stale resourceVersion", `{"metadata":{"resourceVersion":"1"}}`, "", metav1.StatusReasonConflict, `Operation cannot be fulfilled on secrets "s": the object has been modified; please apply your changes to the latest version and try again`},
		{"other type", `{"type":"Opaque"}`, "", metav1.StatusReasonInvalid, `Secret "s" is invalid: type: Invalid value: "Opaque": field is immutable`},
		{"other name", `{"metadata":{"name":"t"}}`, "", metav1.StatusReasonBadRequest, "the name of the object (t) does not match the name on the URL (s)"},
		{"not JSON", `{`, "", metav1.StatusReasonBadRequest, "invalid JSON patch"},
		{"not an object", `[]`, "", metav1.StatusReasonBadRequest, "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tokenSecret("s", "builder")
			s.UID, s.Labels = "u1", map[string]string{"a": "1"}
			c := newCI(t, s)
			got, err := c.PatchSecret(t.Context(), "ci", "s", types.MergePatchType, []byte(tt.patch))
			if tt.text != "" {
				checkError(t, err, tt.reason, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if labels := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: got.Labels}); labels != tt.want && !(labels == "<none>" && tt.want == "") {
				t.Errorf("labels = %s, want %s", labels, tt.want)
			}
			if got.UID != "u1" || got.ResourceVersion != "3" || got.Type != corev1.SecretTypeServiceAccountToken {
				t.Errorf("patched to %+v, want the rest kept", got)
			}
		})
	}
	c := newCI(t)
	_, err := c.PatchSecret(t.Context(), "ci", "s", types.MergePatchType, []byte(`{}`))
	checkError(t, err, metav1.StatusReasonNotFound, `secrets "s" not found`)
}

// Faults of a Reader know what is read and by whom.
func TestReaderFaultsOfPlaces(t *testing.T) {
	broken := errors.New("broken")
	read := func(c *fake.Cluster, f *fault.Fault) (failed string) {
		r := c.Reader()
		r.Inject(f)
		ctx := fake.WithActor(t.Context(), "a controller")
		for name, call := range map[string]func() error{
			"get a":    func() error { _, err := r.GetSecret(ctx, "ci", "a"); return err },
			"get b":    func() error { _, err := r.GetSecret(ctx, "ci", "b"); return err },
			"list ci":  func() error { _, err := r.ListSecrets(ctx, "ci"); return err },
			"list cd":  func() error { _, err := r.ListSecrets(ctx, "cd"); return err },
			"list pod": func() error { _, err := r.ListPods(ctx, "ci"); return err },
		} {
			if call() == broken {
				failed += name + ", "
			}
		}
		return failed
	}
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	for want, f := range map[string]*fault.Fault{
		"get a, ":    fault.On("get", "secrets", broken).Of("ci", "a"),
		"get b, ":    fault.On("", "", fault.After(broken)).Of("", "b"),
		"list cd, ":  fault.On("list", "secrets", broken).Of("cd", ""),
		"list pod, ": fault.If("pods of the controller", func(op fault.Op) bool { return op.Resource == "pods" && op.Actor == "a controller" }, broken),
	} {
		if got := read(c, f); got != want {
			t.Errorf("%s fails %s, want %s", f, got, want)
		}
	}
	for want, f := range map[error]*fault.Fault{broken: fault.On("get", "secrets", broken), nil: fault.On("get", "secrets", fault.After(broken))} {
		r := c.Reader()
		r.Inject(f)
		if _, err := r.GetSecret(t.Context(), "ci", "missing"); want != nil && err != want || want == nil && !apierrors.IsNotFound(err) {
			t.Errorf("%s: GetSecret() = %v of what isn't there", f, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := newCI(t, secretNamed("a")).Reader()
		r.Inject(fault.On("get", "secrets", fault.Slow(time.Minute)))
		if _, err := r.GetSecret(ctx, "ci", "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("GetSecret() = %v, want DeadlineExceeded", err)
		}
	})
	r := c.Reader()
	defer func() {
		if recover() == nil {
			t.Error("a cache takes a fault of a write")
		}
	}()
	r.Inject(fault.On("create", "secrets", broken))
}
