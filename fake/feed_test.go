package fake_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// F03: whatever informers do, the last that a controller is told of an object
// is how it is, and what it is told of one object is in order.
func TestDisturb(t *testing.T) {
	kinds := map[string]bool{}
	for seed := range uint64(60) {
		c := newCI(t, secretNamed("gone"))
		s := &script{name: "s"}
		if err := c.Settle(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		s.events = nil
		c.Disturb(seed)
		last := map[string]string{}
		for round := range 3 {
			for i := range 4 {
				name := fmt.Sprintf("s%d", i)
				must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed(name)))
				if (i+round)%2 == 0 {
					if err := c.DeleteSecret(t.Context(), "ci", name, metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
					must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed(name)))
				}
			}
			if round == 0 {
				if err := c.DeleteSecret(t.Context(), "ci", "gone", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Settle(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				if err := c.DeleteSecret(t.Context(), "ci", fmt.Sprintf("s%d", i), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Settle(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		for _, event := range s.events {
			what, rest, _ := strings.Cut(event, " Secret ")
			name, _, _ := strings.Cut(rest, " ")
			last[name] = what
			kinds[what] = true
		}
		for name, what := range last {
			if what != "DELETED" {
				t.Errorf("seed %d: the last that was told of %s is %s, want DELETED; all:\n%s", seed, name, what, strings.Join(s.events, "\n"))
			}
		}
		if last["gone"] == "" {
			t.Errorf("seed %d: the deletion of a known secret was never told", seed)
		}
	}
	// Deleted and created again in between looks modified.
	if !kinds["MODIFIED"] || !kinds["ADDED"] {
		t.Errorf("60 seeds told only of %v", kinds)
	}
}

// resyncing is a controller that asks to be told everything again.
type resyncing struct {
	*script
	again chan struct{}
}

func (r resyncing) Resync() <-chan struct{} { return r.again }

var _ sacontroller.Resyncer = resyncing{}

func TestSettleResyncs(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	s := resyncing{&script{name: "s"}, make(chan struct{}, 1)}
	for _, want := range []string{"ADDED Namespace ci, ADDED Secret a", "", "DELETED Secret a, ADDED Namespace ci"} {
		s.events = nil
		if err := c.Settle(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.events, ", "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if want == "" {
			s.again <- struct{}{}
			if err := c.DeleteSecret(t.Context(), "ci", "a", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
