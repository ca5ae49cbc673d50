package jobs_test

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/examples/testing/jobs"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

const buildUser = "system:serviceaccount:ci:build"

// A job has a token of its own account, from its start to its end.
func TestJob(t *testing.T) {
	w := newWorld(t, "ci")
	ctx := t.Context()
	pod, err := jobs.Start(ctx, w, "ci", "build", "example.com/build")
	if err != nil {
		t.Fatal(err)
	}
	token := w.mount(t, pod)
	if got := w.who(t, token); got != buildUser {
		t.Errorf("the token stands for %q, want %q", got, buildUser)
	}
	if err := jobs.Finish(ctx, w, "ci", "build"); err != nil {
		t.Fatal(err)
	}
	if got := w.who(t, token); got != "" {
		t.Errorf("after the end, the token stands for %q, want nobody", got)
	}
	if err := jobs.Finish(ctx, w, "ci", "build"); err != nil {
		t.Errorf("to finish once more: %v, want no error", err)
	}
}

// A Start whose answer was lost is tried again, and finds what the first has made.
func TestStartAgain(t *testing.T) {
	for _, resource := range []string{"serviceaccounts", "pods"} {
		t.Run(resource, func(t *testing.T) {
			w := newWorld(t, "ci")
			ctx := t.Context()
			w.Inject(fault.Nth(1, "create", resource, fault.AnswerLost))
			if _, err := jobs.Start(ctx, w, "ci", "build", "example.com/build"); !apierrors.IsTimeout(err) {
				t.Fatalf("the first Start() = %v, want a timeout", err)
			}
			pod, err := jobs.Start(ctx, w, "ci", "build", "example.com/build")
			if err != nil {
				t.Fatalf("the second Start() = %v\n%s", err, fake.FormatActions(w.Writes()))
			}
			if got := w.who(t, w.mount(t, pod)); got != buildUser {
				t.Errorf("the token stands for %q, want %q", got, buildUser)
			}
			if unfired := w.Unfired(); len(unfired) > 0 { // then nothing was tested
				t.Errorf("faults that never fired: %v", unfired)
			}
		})
	}
}

// The name of a job that is used again doesn't bring the old token back.
func TestSameName(t *testing.T) {
	w := newWorld(t, "ci")
	ctx := t.Context()
	var tokens []string
	for range 2 {
		pod, err := jobs.Start(ctx, w, "ci", "build", "example.com/build")
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, w.mount(t, pod))
		if len(tokens) == 1 {
			if err := jobs.Finish(ctx, w, "ci", "build"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := w.who(t, tokens[0]); got != "" {
		t.Errorf("the token of the first job stands for %q, want nobody", got)
	}
	if got := w.who(t, tokens[1]); got != buildUser {
		t.Errorf("the token of the second job stands for %q, want %q", got, buildUser)
	}
}

// A namespace takes its jobs with it, and takes no new ones meanwhile.
func TestNamespaceIsDeleted(t *testing.T) {
	w := newWorld(t, "ci")
	ctx := t.Context()
	pod, err := jobs.Start(ctx, w, "ci", "build", "example.com/build")
	if err != nil {
		t.Fatal(err)
	}
	token := w.mount(t, pod)
	if err := w.DeleteNamespace(ctx, "ci", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Start(ctx, w, "ci", "late", "example.com/late"); !apierrors.IsForbidden(err) {
		t.Errorf("Start() while the namespace is deleted = %v, want Forbidden", err)
	}
	w.settle(t)
	if got := w.who(t, token); got != "" {
		t.Errorf("after the namespace, the token stands for %q, want nobody", got)
	}
	if _, err := jobs.Start(ctx, w, "ci", "late", "example.com/late"); !apierrors.IsNotFound(err) {
		t.Errorf("Start() without the namespace = %v, want NotFound", err)
	}
}
