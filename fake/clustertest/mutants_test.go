package clustertest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// via is what a call goes through in a broken Cluster.
type via = func(c call, do func(call) answer) answer

// A mutant breaks a Cluster in one way.
type mutant struct {
	name string
	via  func(c *fake.Cluster) via
}

// plain is a mutant that has no state.
func plain(name string, f via) mutant {
	return mutant{name, func(*fake.Cluster) via { return f }}
}

// answering changes the objects that come back, those of lists too.
func answering(name string, change func(c call, o object)) mutant {
	return plain(name, func(c call, do func(call) answer) answer {
		a := do(c)
		if a.err == nil && a.one != nil {
			change(c, a.one)
		}
		for _, o := range a.found {
			change(c, o)
		}
		return a
	})
}

// sending changes the objects that are sent.
func sending(name, verb string, change func(object)) mutant {
	return plain(name, func(c call, do func(call) answer) answer {
		if c.verb == verb {
			c.sent = copyOf(c.sent)
			change(c.sent)
		}
		return do(c)
	})
}

// failing changes the errors.
func failing(name string, is func(call, error) bool, becomes func(c call, a answer) answer) mutant {
	return plain(name, func(c call, do func(call) answer) answer {
		a := do(c)
		if a.err != nil && is(c, a.err) {
			return becomes(c, a)
		}
		return a
	})
}

func copyOf(o object) object { return o.DeepCopyObject().(object) }

func always(call, error) bool { return true }

func reason(r metav1.StatusReason, verbs ...string) func(call, error) bool {
	return func(c call, err error) bool {
		return apierrors.ReasonForError(err) == r && (len(verbs) == 0 || slices.Contains(verbs, c.verb))
	}
}

// accepts answers as if nothing was wrong.
func accepts(c call, a answer) answer {
	if c.sent != nil {
		return answer{one: copyOf(c.sent)}
	}
	if c.resource == "serviceaccounts" {
		return answer{one: new(corev1.ServiceAccount)}
	}
	return answer{one: new(corev1.Secret)}
}

func isWrite(c call) bool { return c.verb != "get" && c.verb != "list" }

func mutants() []mutant {
	return slices.Concat(createMutants(), readMutants(), updateMutants(), deleteMutants(), patchMutants(), otherMutants())
}

// brokenPromises returns the names of the promises that a Cluster made by
// newCluster breaks.
func brokenPromises(ctx context.Context, newCluster func() clustertest.Cluster) []string {
	var names []string
	for _, p := range clustertest.Promises() {
		if err := p.Check(ctx, newCluster()); err != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

var update = flag.Bool("update", false, "rewrite testdata/mutants.txt")

// Each mutant breaks the promises that testdata/mutants.txt lists below its
// name and no others, and no promise is kept by all mutants.
func TestMutants(t *testing.T) {
	const golden = "testdata/mutants.txt"
	var text strings.Builder
	kept := map[string]bool{}
	for _, p := range clustertest.Promises() {
		kept[p.Name] = true
	}
	for _, m := range mutants() {
		got := brokenPromises(t.Context(), func() clustertest.Cluster {
			c := new(fake.Cluster)
			return broken{c, m.via(c)}
		})
		if len(got) == 0 {
			t.Errorf("the mutant %q breaks nothing", m.name)
		}
		text.WriteString(m.name + "\n")
		for _, name := range got {
			text.WriteString("\t" + name + "\n")
			delete(kept, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		t.Errorf("no mutant breaks the promise %q", name)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text.String(), "\n")); diff != "" {
		t.Errorf("what the mutants break (-%s +now); -update rewrites it:\n%s", golden, diff)
	}
}

// What is not broken keeps all promises.
func TestNoMutant(t *testing.T) {
	got := brokenPromises(t.Context(), func() clustertest.Cluster {
		return broken{new(fake.Cluster), func(c call, do func(call) answer) answer { return do(c) }}
	})
	if len(got) > 0 {
		t.Errorf("without a mutant these promises are broken: %q", got)
	}
}

// Without pods and nodes nothing is broken: what is about pods is skipped, and
// what is about all kinds is checked for the others.
func TestUnsupported(t *testing.T) {
	without := func(c call, do func(call) answer) answer {
		if c.resource == "pods" || c.resource == "nodes" {
			return answer{err: fmt.Errorf("%s: %w", c.resource, errors.ErrUnsupported)}
		}
		return do(c)
	}
	var skipped []string
	for _, p := range clustertest.Promises() {
		err := p.Check(t.Context(), broken{new(fake.Cluster), without})
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			skipped = append(skipped, p.Name)
		case err != nil:
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	want := []string{
		"a pod has its account's name in both fields",
		"a new pod is pending, whatever status it was sent with",
		"a projected token has an expiry, of 10 minutes at least",
		"a pod without containers is Invalid",
		"a pod that runs is marked with the time of its end, and goes with a grace period of zero",
		"a pod that does not run goes at once",
		"a list of pods is of one namespace, or of all",
		"a pod that is passed in or returned is the caller's",
	}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped promises (-want +got):\n%s", diff)
	}
}
