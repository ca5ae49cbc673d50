package fake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// script is a controller made of functions, which remembers what it was told.
type script struct {
	name      string
	reconcile func(context.Context, sacontroller.Key) (sacontroller.Result, error)
	events    []string
	calls     []string
}

func (s *script) Name() string { return s.name }

func (s *script) Due(e sacontroller.Change) []sacontroller.Key {
	o := e.Object.(metav1.Object)
	kind := strings.TrimPrefix(fmt.Sprintf("%T", e.Object), "*v1.")
	text := fmt.Sprintf("%s %s %s", e.Type, kind, o.GetName())
	if e.Old != nil {
		text += " from " + e.Old.(metav1.Object).GetResourceVersion() + " to " + o.GetResourceVersion()
	}
	s.events = append(s.events, text)
	return []sacontroller.Key{{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}}
}

func (s *script) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	s.calls = append(s.calls, key.Name)
	if s.reconcile == nil {
		return sacontroller.Result{}, nil
	}
	return s.reconcile(ctx, key)
}

func TestSettleTellsWhatChanged(t *testing.T) {
	c := newCI(t, secretNamed("a"), &corev1.ServiceAccount{ObjectMeta: meta("ci", "builder")}, secretNamed("b"))
	s := &script{name: "s"}
	settle := func() {
		t.Helper()
		s.events = nil
		if err := c.Settle(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	want := []string{"ADDED Namespace ci", "ADDED ServiceAccount builder", "ADDED Secret a", "ADDED Secret b"}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("first events (-want +got):\n%s", diff)
	}
	settle()
	if len(s.events) != 0 {
		t.Errorf("events %q although nothing changed, want none", s.events)
	}

	a := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "a"))
	a.Labels = map[string]string{"x": "y"}
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), a))
	for _, name := range []string{"b", "a"} {
		if err := c.DeleteSecret(t.Context(), "ci", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	settle()
	want = []string{"MODIFIED Secret a from 2 to 5", "DELETED Secret b", "DELETED Secret a", "ADDED Secret b"}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("later events (-want +got):\n%s", diff)
	}

	c.Forget(s)
	settle()
	want = []string{"ADDED Namespace ci", "ADDED ServiceAccount builder", "ADDED Secret b"}
	if diff := cmp.Diff(want, s.events); diff != "" {
		t.Errorf("events after a restart (-want +got):\n%s", diff)
	}
}

// C07
func TestSettleRetries(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	failures := map[string]int{"a": 200, "b": 1}
	s := &script{name: "s", reconcile: func(_ context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		if failures[key.Name] > 0 {
			failures[key.Name]--
			// What can't succeed beside it doesn't end the attempts.
			return sacontroller.Result{}, errors.Join(&sacontroller.TerminalError{Err: errors.New("immutable")}, errors.New("not yet"))
		}
		return sacontroller.Result{}, nil
	}}
	if err := c.Settle(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	// Round robin: b is not held up by a.
	if want := []string{"ci", "a", "b", "a", "b", "a"}; !cmp.Equal(want, s.calls[:6]) || len(s.calls) != 1+201+2 {
		t.Errorf("%d calls, starting with %v, want 204, starting with %v", len(s.calls), s.calls[:6], want)
	}
}

// A key that can't succeed until an object changes is tried once, and again after
// a change; one that yields goes on after the others.
func TestSettleTerminalAndYield(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	stuck, yields := true, 3
	s := &script{name: "s", reconcile: func(_ context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		switch {
		case key.Name == "a" && stuck:
			return sacontroller.Result{}, &sacontroller.TerminalError{Err: errors.New("immutable")}
		case key.Name == "b" && yields > 0:
			yields--
			return sacontroller.Result{RequeueAfter: sacontroller.Yield}, nil
		}
		return sacontroller.Result{}, nil
	}}
	err := c.Settle(t.Context(), s)
	want := "fake: 1 keys still fail after 250 attempts or can't succeed until an object changes:\n\ts: Secret ci/a: immutable"
	if err == nil || err.Error() != want {
		t.Errorf("Settle() = %v, want %s", err, want)
	}
	if want := []string{"ci", "a", "b", "b", "b", "b"}; !cmp.Equal(want, s.calls) {
		t.Errorf("calls %v, want %v", s.calls, want)
	}
	stuck, s.calls = false, nil
	a := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "a"))
	a.Labels = map[string]string{"x": "y"}
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), a))
	if err := c.Settle(t.Context(), s); err != nil || !cmp.Equal([]string{"a"}, s.calls) {
		t.Errorf("Settle() after the change = %v with calls %v, want a to succeed", err, s.calls)
	}
	// A change in the same Settle makes it succeed, too.
	helper := &script{name: "helper", reconcile: func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		if stuck && key.Name == "b" {
			stuck = false
			return sacontroller.Result{}, c.DeleteSecret(ctx, "ci", "a", metav1.DeleteOptions{})
		}
		return sacontroller.Result{}, nil
	}}
	stuck = true
	c.Forget(s)
	if err := c.Settle(t.Context(), s, helper); err != nil {
		t.Errorf("Settle() with a helper = %v, want nil", err)
	}
}

func TestSettleGivesUp(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	broken := errors.New("broken")
	s := &script{name: "s", reconcile: func(_ context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		if key.Name == "a" {
			return sacontroller.Result{}, broken
		}
		return sacontroller.Result{}, nil
	}}
	err := c.Settle(t.Context(), s)
	if want := "fake: 1 keys still fail after 250 attempts:\n\ts: Secret ci/a: broken"; err == nil || err.Error() != want || !errors.Is(err, broken) {
		t.Fatalf("Settle() = %v, want %s", err, want)
	}
	var unsettled *fake.UnsettledError
	if !errors.As(err, &unsettled) || unsettled.Failed[0].Key.Name != "a" {
		t.Errorf("Settle() = %#v, want an UnsettledError with key a", err)
	}
	s.reconcile, s.calls = nil, nil
	if err := c.Settle(t.Context(), s); err != nil || len(s.calls) != 1 {
		t.Errorf("next Settle() = %v after %v, want key a tried again", err, s.calls)
	}
}

// setLabel returns a Reconcile that sets the same label to another value.
func setLabel(c *fake.Cluster, value string) func(context.Context, sacontroller.Key) (sacontroller.Result, error) {
	return func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		secret, err := c.GetSecret(ctx, "ci", "a")
		if err != nil || secret.Labels["owner"] == value {
			return sacontroller.Result{}, err
		}
		secret.Labels = map[string]string{"owner": value}
		_, err = c.UpdateSecret(ctx, secret)
		return sacontroller.Result{}, err
	}
}

func TestSettleShowsLivelock(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	err := c.Settle(t.Context(),
		&script{name: "cat", reconcile: setLabel(c, "cat")},
		&script{name: "dog", reconcile: setLabel(c, "dog")},
	)
	want := `fake: livelock: 101 writes and no end; they repeat:
	dog: update secrets ci/a
	cat: update secrets ci/a`
	if err == nil || err.Error() != want {
		t.Errorf("Settle() = %v,\nwant %s", err, want)
	}

	c = newCI(t, secretNamed("a"))
	err = c.Settle(t.Context(), &script{name: "rabbit", reconcile: func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		_, err := c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", GenerateName: "rabbit-"}})
		return sacontroller.Result{}, err
	}})
	var livelock *fake.LivelockError
	if !errors.As(err, &livelock) || len(livelock.Cycle) != 1 || livelock.Cycle[0].Verb != "create" {
		t.Errorf("Settle() = %v, want a LivelockError with one create as its cycle", err)
	}
}

func TestSettleWaits(t *testing.T) {
	now := fake.Epoch
	c := newCI(t, secretNamed("a"))
	c.Now = func() time.Time { return now }
	s := &script{name: "s", reconcile: func(_ context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		if key.Kind == "Secret" {
			return sacontroller.Result{RequeueAfter: time.Hour}, nil
		}
		return sacontroller.Result{}, nil
	}}
	calls := func() int {
		t.Helper()
		s.calls = nil
		if err := c.Settle(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		return len(s.calls)
	}
	if got := calls(); got != 2 {
		t.Errorf("%d calls, want one a key", got)
	}
	if w := c.Waiting(); len(w) != 1 || w[0].Controller != "s" || w[0].Key.Name != "a" || !w[0].At.Equal(now.Add(time.Hour)) {
		t.Errorf("Waiting() = %+v, want key a in an hour", w)
	}
	if got := calls(); got != 0 {
		t.Errorf("%d calls although nothing changed and no time passed, want none", got)
	}
	now = now.Add(time.Hour)
	if got := calls(); got != 1 {
		t.Errorf("%d calls after an hour, want one", got)
	}
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	if got := calls(); got != 2 { // b, and a because something changed
		t.Errorf("%d calls after a change, want two", got)
	}
}

// A key that waits for its cache is due again when the cache has caught up.
func TestSettleCatchesUp(t *testing.T) {
	c := newCI(t)
	r := c.Reader()
	r.Lag(1)
	s := &script{name: "s", reconcile: func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		if key.Kind != "Namespace" {
			return sacontroller.Result{}, nil
		}
		ns, err := r.GetNamespace(ctx, key.Name)
		if err != nil {
			return sacontroller.Result{RequeueAfter: time.Second}, nil
		}
		_, err = c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: meta(ns.Name, "made")})
		return sacontroller.Result{}, err
	}}
	if err := c.Settle(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "made"))
}

// A controller that leaves a conflict to its next try comes to rest on a cache
// that lags.
func TestSettleCatchesUpForThoseWhoFail(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	r := c.Reader()
	r.Lag(3)
	s := &script{name: "s", reconcile: func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
		secret, err := r.GetSecret(ctx, key.Namespace, key.Name)
		if key.Kind != "Secret" || err == nil && len(secret.Labels) == 2 {
			return sacontroller.Result{}, nil
		}
		if err == nil {
			secret.Labels = map[string]string{"seen": secret.ResourceVersion, "x": secret.Labels["x"]}
			_, err = c.UpdateSecret(ctx, secret)
		}
		return sacontroller.Result{}, err
	}}
	for _, name := range []string{"a", "b"} { // what the cache doesn't see
		secret := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", name))
		secret.Labels = map[string]string{"x": "y"}
		must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), secret))
	}
	if err := c.Settle(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if got := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", name)).Labels; got["x"] != "y" || got["seen"] == "" {
			t.Errorf("Secret %s has the labels %v, want both", name, got)
		}
	}
}

func TestShuffle(t *testing.T) {
	run := func(seed uint64) string {
		c := newCI(t)
		for i := range 8 {
			must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed(fmt.Sprintf("s%d", i))))
		}
		c.Shuffle(seed)
		c.ClearActions()
		stamp := func(label string) *script {
			s := &script{name: label}
			s.reconcile = func(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
				if key.Kind != "Secret" {
					return sacontroller.Result{}, nil
				}
				secret, err := c.GetSecret(ctx, key.Namespace, key.Name)
				if err != nil || secret.Labels[label] != "" {
					return sacontroller.Result{}, err
				}
				secret.Labels = map[string]string{"cat": secret.Labels["cat"], "dog": secret.Labels["dog"]}
				secret.Labels[label] = "yes"
				_, err = c.UpdateSecret(ctx, secret)
				return sacontroller.Result{}, err
			}
			return s
		}
		if err := c.Settle(t.Context(), stamp("cat"), stamp("dog")); err != nil {
			t.Fatal(err)
		}
		for _, s := range must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci")) {
			if s.Labels["cat"] != "yes" || s.Labels["dog"] != "yes" {
				t.Errorf("seed %d: %s has labels %v, want both", seed, s.Name, s.Labels)
			}
		}
		return fake.FormatActions(c.Writes())
	}
	stories := map[string]bool{}
	for seed := range uint64(20) {
		story := run(seed)
		if again := run(seed); again != story {
			t.Errorf("seed %d gave two stories:\n%s\n%s", seed, story, again)
		}
		stories[story] = true
	}
	if len(stories) < 15 {
		t.Errorf("20 seeds gave %d orders, want nearly 20", len(stories))
	}
}
