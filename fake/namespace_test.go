package fake_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

func TestNamespaceLife(t *testing.T) {
	var c fake.Cluster
	ns := must[*corev1.Namespace](t)(c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: meta("", "ci"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}))
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Labels["kubernetes.io/metadata.name"] != "ci" {
		t.Errorf("created %+v, want it active, with the finalizer and the label of a server", ns)
	}
	ns.Status.Phase, ns.Spec.Finalizers, ns.Labels = corev1.NamespaceTerminating, nil, nil
	ns.Annotations = map[string]string{"a": "b"}
	ns = must[*corev1.Namespace](t)(c.UpdateNamespace(t.Context(), ns))
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Labels["kubernetes.io/metadata.name"] != "ci" || ns.Annotations["a"] != "b" {
		t.Errorf("updated to %+v, want only the annotation changed", ns)
	}

	must[*corev1.ServiceAccount](t)(c.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta("ci", "builder")}))
	if err := c.DeleteNamespace(t.Context(), "ci", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ns = must[*corev1.Namespace](t)(c.GetNamespace(t.Context(), "ci"))
	if ns.Status.Phase != corev1.NamespaceTerminating || ns.DeletionTimestamp == nil {
		t.Errorf("deleted namespace is %+v, want it Terminating", ns)
	}

	// SAC-10, CTL-87
	_, err := c.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta("ci", "late")})
	checkError(t, err, metav1.StatusReasonForbidden, `serviceaccounts "late" is forbidden: unable to create new content in namespace ci because it is being terminated`)
	cause, ok := apierrors.StatusCause(err, corev1.NamespaceTerminatingCause)
	if want := (metav1.StatusCause{Type: "NamespaceTerminating", Message: "namespace ci is being terminated", Field: "metadata.namespace"}); !ok || cause != want {
		t.Errorf("cause = %+v, want %+v", cause, want)
	}

	// What is there can still be changed and deleted.
	must[*corev1.ServiceAccount](t)(c.UpdateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", Labels: map[string]string{"a": "b"}}}))

	if err := c.FinalizeNamespace(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		c.DeleteNamespace(t.Context(), "ci", metav1.DeleteOptions{}),
		c.FinalizeNamespace(t.Context(), "ci"),
	} {
		checkError(t, err, metav1.StatusReasonNotFound, `namespaces "ci" not found`)
	}
	_, err = c.GetServiceAccount(t.Context(), "ci", "builder")
	checkError(t, err, metav1.StatusReasonNotFound, `serviceaccounts "builder" not found`)
}

func TestFinalizeNamespaceWaitsForFinalizers(t *testing.T) {
	held := tokenSecret("held", "builder")
	held.Finalizers = []string{"example.com/hold"}
	running := goodPod("running")
	running.Spec.NodeName = "n1"
	c := newCI(t, held, running, tokenSecret("free", "builder"))
	if err := c.FinalizeNamespace(t.Context(), "ci"); !apierrors.IsConflict(err) {
		t.Errorf("FinalizeNamespace() of an active namespace = %v, want Conflict", err)
	}
	if err := c.DeleteNamespace(t.Context(), "ci", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.FinalizeNamespace(t.Context(), "ci"); err != nil {
			t.Fatal(err)
		}
	}
	must[*corev1.Namespace](t)(c.GetNamespace(t.Context(), "ci"))
	left := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "held"))
	if all := must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci")); len(all) != 1 || left.DeletionTimestamp == nil {
		t.Fatalf("%d secrets left, deletionTimestamp %v, want one, marked", len(all), left.DeletionTimestamp)
	}
	left.Finalizers = nil
	must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), left))
	if err := c.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetNamespace(t.Context(), "ci")
	checkError(t, err, metav1.StatusReasonNotFound, `namespaces "ci" not found`)
}

func TestImmortalNamespaces(t *testing.T) {
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		c := fake.New(&corev1.Namespace{ObjectMeta: meta("", name)})
		err := c.DeleteNamespace(t.Context(), name, metav1.DeleteOptions{})
		checkError(t, err, metav1.StatusReasonForbidden, `namespaces "`+name+`" is forbidden: this namespace may not be deleted`)
	}
}

// A Namespace goes when its content has: nothing else may have kept a part, and what has
// changed meanwhile is left for the next time.
func TestFinalizeNamespaceCalls(t *testing.T) {
	broken := errors.New("broken")
	terminating := func(t *testing.T, objects ...runtime.Object) *fake.Cluster {
		c := newCI(t, objects...)
		if err := c.DeleteNamespace(t.Context(), "ci", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.ClearActions()
		return c
	}
	for name, tt := range map[string]struct {
		err  error
		want error
		gone bool
	}{
		"no fault":     {gone: true},
		"broken":       {err: broken, want: broken},
		"gone already": {err: fault.NotFound},
		"changed":      {err: fault.Conflict},
	} {
		c := terminating(t, secretNamed("a"))
		if tt.err != nil {
			c.Inject(fault.On("delete", "secrets", tt.err))
		}
		if err := c.FinalizeNamespace(t.Context(), "ci"); err != tt.want {
			t.Errorf("%s: FinalizeNamespace() = %v, want %v", name, err, tt.want)
		}
		if gone := c.Resource("namespaces").Stored("", "ci") == nil; gone != tt.gone {
			t.Errorf("%s: the Namespace is gone: %v", name, gone)
		}
		actions := c.Actions()
		if first := actions[0]; first.Verb != "delete" || first.Actor != "namespace-controller" || first.Preconditions == nil || first.Preconditions.UID == nil {
			t.Errorf("%s: the first call is %v by %q with %v, want a delete with a UID by the namespace-controller", name, first, first.Actor, first.Preconditions)
		}
		if last := actions[len(actions)-1]; tt.want == nil && last.String() != "update namespaces/finalize ci" {
			t.Errorf("%s: the last call is %s, want the update of the Namespace", name, last)
		}
	}

	kept, bound := secretNamed("kept"), goodPod("bound")
	kept.Finalizers, bound.Spec.NodeName = []string{"example.com/a"}, "n1"
	c := terminating(t, kept, bound, &corev1.Node{ObjectMeta: meta("", "n1")})
	if err := c.DeletePod(t.Context(), "ci", "bound", metav1.DeleteOptions{}); err != nil || c.Resource("pods").Stored("ci", "bound") == nil {
		t.Fatalf("DeletePod() = %v, want it to wait", err)
	}
	for range 2 {
		if err := c.FinalizeNamespace(t.Context(), "ci"); err != nil {
			t.Fatal(err)
		}
	}
	deletes := 0
	for _, action := range c.Actions() {
		if action.Verb == "delete" && action.Name == "kept" {
			deletes++
		}
	}
	if c.Resource("pods").Stored("ci", "bound") != nil || deletes != 1 || c.Resource("nodes").Stored("", "n1") == nil {
		t.Errorf("%d deletes of what a finalizer keeps, want 1, and no Pod", deletes)
	}

	held := &corev1.Namespace{ObjectMeta: meta("", "held")}
	held.Finalizers = []string{"example.com/a"}
	c = newCI(t, held)
	if err := c.DeleteNamespace(t.Context(), "held", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := c.Revision()
	var after []string
	for range 2 {
		if err := c.FinalizeNamespace(t.Context(), "held"); err != nil {
			t.Fatal(err)
		}
		after = append(after, c.Revision())
	}
	ns := c.Resource("namespaces").Stored("", "held").(*corev1.Namespace)
	if len(ns.Spec.Finalizers) != 0 || len(ns.Finalizers) != 1 || after[0] == before || after[1] != after[0] {
		t.Errorf("it has the finalizers %v and %v, revisions %s, %v", ns.Spec.Finalizers, ns.Finalizers, before, after)
	}
	checkError(t, c.FinalizeNamespace(t.Context(), ""), metav1.StatusReasonBadRequest, "resource name may not be empty")
}
