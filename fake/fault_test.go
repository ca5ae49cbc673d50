package fake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
)

func secretNamed(name string) *corev1.Secret { return &corev1.Secret{ObjectMeta: meta("ci", name)} }

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	isA := func(op fault.Op) bool { return op.Name == "a" }
	tests := []struct {
		name  string
		fault *fault.Fault
		want  [4]error // of create a, create b, get a, create a again
	}{
		{"Nth", fault.Nth(2, "create", "secrets", broken), [4]error{1: broken}},
		{"Nth of any verb", fault.Nth(3, "", "secrets", broken), [4]error{2: broken}},
		{"First", fault.First(2, "create", "", broken), [4]error{0: broken, 1: broken}},
		{"On", fault.On("get", "secrets", broken), [4]error{2: broken}},
		{"On another resource", fault.On("get", "pods", broken), [4]error{}},
		{"If", fault.If("secret a", isA, broken), [4]error{0: broken, 2: broken, 3: broken}},
		{"Any", fault.Any(fault.Nth(1, "create", "secrets", broken), fault.Nth(3, "create", "secrets", broken)), [4]error{0: broken, 3: broken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t)
			c.Inject(tt.fault)
			_, e0 := c.CreateSecret(t.Context(), secretNamed("a"))
			_, e1 := c.CreateSecret(t.Context(), secretNamed("b"))
			_, e2 := c.GetSecret(t.Context(), "ci", "a")
			_, e3 := c.CreateSecret(t.Context(), secretNamed("a"))
			for i, got := range [4]error{e0, e1, e2, e3} {
				if (got == broken) != (tt.want[i] == broken) {
					t.Errorf("call %d = %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}

// Each fault counts for itself, whatever the others do.
func TestFaultsCountIndependently(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	c := newCI(t)
	c.Inject(fault.Nth(1, "get", "secrets", first))
	c.Inject(fault.Nth(2, "get", "secrets", second))
	for i, want := range []error{first, second} {
		if _, err := c.GetSecret(t.Context(), "ci", "a"); err != want {
			t.Errorf("call %d = %v, want %v", i+1, err, want)
		}
	}
	c.Inject(fault.On("get", "secrets", first))
	c.ClearFaults()
	_, err := c.GetSecret(t.Context(), "ci", "a")
	checkError(t, err, metav1.StatusReasonNotFound, `secrets "a" not found`)
}

// C13
func TestOutcomes(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		reason   metav1.StatusReason
		text     string
		happened bool
		action   string
	}{
		{"conflict", fault.Conflict, metav1.StatusReasonConflict, `Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again`, false,
			`create secrets ci/a: Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again [fault: every create secrets: conflict]`},
		{"not found", fault.NotFound, metav1.StatusReasonNotFound, `secrets "a" not found`, false, `create secrets ci/a: secrets "a" not found [fault: every create secrets: not found]`},
		{"timeout", fault.Timeout, metav1.StatusReasonTimeout, "Timeout: request did not complete within the allowed duration", false, "create secrets ci/a: Timeout: request did not complete within the allowed duration [fault: every create secrets: timeout]"},
		{"answer lost", fault.AnswerLost, metav1.StatusReasonTimeout, "Timeout: request did not complete within the allowed duration", true, "create secrets ci/a: Timeout: request did not complete within the allowed duration [fault: every create secrets: answer lost]"},
		{"after", fault.After(errors.New("EOF")), metav1.StatusReasonUnknown, "EOF", true, "create secrets ci/a: EOF [fault: every create secrets: the call happens, then EOF]"},
		{"after, with a status", fault.After(fault.Conflict), metav1.StatusReasonConflict, `Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again`, true,
			`create secrets ci/a: Operation cannot be fulfilled on secrets "a": the object has been modified; please apply your changes to the latest version and try again [fault: every create secrets: the call happens, then conflict]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCI(t)
			c.Inject(fault.On("create", "secrets", tt.err))
			_, err := c.CreateSecret(t.Context(), secretNamed("a"))
			checkError(t, err, tt.reason, tt.text)
			if got := c.Actions()[0].String(); got != tt.action {
				t.Errorf("action = %q,\nwant %q", got, tt.action)
			}
			_, err = c.GetSecret(t.Context(), "ci", "a")
			if apierrors.IsNotFound(err) == tt.happened {
				t.Errorf("afterwards get = %v, want it stored: %v", err, tt.happened)
			}
		})
	}
}

// A call that fails by itself keeps its error when the answer is to be lost.
func TestAnswerLostOfAFailedCall(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	c.Inject(fault.On("create", "secrets", fault.AnswerLost))
	_, err := c.CreateSecret(t.Context(), secretNamed("a"))
	checkError(t, err, metav1.StatusReasonAlreadyExists, `secrets "a" already exists`)
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCI(t, secretNamed("a"))
		c.Inject(fault.On("get", "secrets", fault.Slow(time.Minute)))
		start := time.Now()
		other := make(chan error)
		go func() { // others are not held up
			_, err := c.ListSecrets(context.Background(), "ci")
			other <- err
		}()
		if err := <-other; err != nil || time.Since(start) != 0 {
			t.Errorf("list took %v, error %v, want none", time.Since(start), err)
		}
		if _, err := c.GetSecret(t.Context(), "ci", "a"); err != nil || time.Since(start) != time.Minute {
			t.Errorf("slow get took %v, error %v, want a minute and none", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.GetSecret(ctx, "ci", "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow get with a deadline = %v, want DeadlineExceeded", err)
		}
	})
}

func TestStaleReads(t *testing.T) {
	c := newCI(t, tokenSecret("kept", "builder"), tokenSecret("changed", "builder"), tokenSecret("deleted", "builder"))
	changed := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "changed"))
	changed.Annotations[corev1.ServiceAccountNameKey] = "other"
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), changed))
	if err := c.DeleteSecret(t.Context(), "ci", "deleted", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), tokenSecret("created", "builder")))

	names := func(list []*corev1.Secret) (names []string) {
		for _, s := range list {
			names = append(names, s.Name+"@"+s.ResourceVersion)
		}
		return names
	}
	want := []string{
		"created@7 kept@2 / changed@5 created@7 kept@2",
		"kept@2 / changed@5 kept@2",
		"deleted@4 kept@2 / changed@5 deleted@4 kept@2",
		"changed@3 deleted@4 kept@2 / changed@3 deleted@4 kept@2",
		"changed@3 kept@2 / changed@3 kept@2",
	}
	for lag, want := range want {
		c.ClearFaults()
		if lag > 0 {
			c.Inject(fault.StaleReads(lag))
		}
		tokens := must[[]*corev1.Secret](t)(c.TokenSecrets(t.Context(), "ci", "builder"))
		all := must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci"))
		got := join(names(tokens)) + " / " + join(names(all))
		if got != want {
			t.Errorf("%d revisions behind: got %s, want %s", lag, got, want)
		}
		_, err := c.GetSecret(t.Context(), "ci", "created")
		if apierrors.IsNotFound(err) != (lag > 0) {
			t.Errorf("%d revisions behind: get of what was created last = %v", lag, err)
		}
	}
	c.ClearFaults()
	c.Inject(fault.StaleReads(1000)) // before anything was there
	if all := must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci")); len(all) != 0 {
		t.Errorf("before the beginning there were %v, want none", names(all))
	}
}
