package fake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// A Binding assigns a Pod once, to a Node, unless it is a dry run.
func TestBindPod(t *testing.T) {
	c := newCI(t, goodPod("p"))
	binding := func(change func(*corev1.Binding)) *corev1.Binding {
		b := &corev1.Binding{ObjectMeta: meta("ci", "p"), Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}
		if change != nil {
			change(b)
		}
		return b
	}
	const target = "the target of a Binding must be a Node with a name"
	for _, tt := range []struct {
		name    string
		binding *corev1.Binding
		dryRun  []string
		reason  metav1.StatusReason
		text    string
	}{
		{name: "nothing", reason: "BadRequest", text: "fake: got a nil Binding"},
		{name: "no Pod", binding: binding(func(b *corev1.Binding) { b.Name = "" }), reason: "BadRequest", text: "resource name may not be empty"},
		{name: "a Pod that isn't there", binding: binding(func(b *corev1.Binding) { b.Name = "q" }), reason: "NotFound", text: `pods "q" not found`},
		{name: "no Node", binding: binding(func(b *corev1.Binding) { b.Target.Name = "" }), reason: "BadRequest", text: target},
		{name: "another kind", binding: binding(func(b *corev1.Binding) { b.Target.Kind = "Pod" }), reason: "BadRequest", text: target},
		{name: "some dry run", binding: binding(nil), dryRun: []string{"Some"}, reason: "Invalid", text: `Options.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"`},
		{name: "dry run", binding: binding(nil), dryRun: []string{"All"}},
		{name: "good", binding: binding(func(b *corev1.Binding) { b.Target.Kind = "" })},
		{name: "again", binding: binding(nil), reason: "Conflict", text: `Operation cannot be fulfilled on pods "p": pod p is already assigned to node "n1"`},
	} {
		before := c.Revision()
		err := c.BindPod(t.Context(), tt.binding, metav1.CreateOptions{DryRun: tt.dryRun})
		if stored := err == nil && tt.dryRun == nil; stored != (c.Revision() != before) {
			t.Errorf("%s: revision %s after %s", tt.name, c.Revision(), before)
		}
		if tt.text != "" {
			checkError(t, err, tt.reason, tt.text)
		} else if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if pod := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p")); pod.Spec.NodeName != "n1" {
		t.Errorf("the Pod is on %q, want n1", pod.Spec.NodeName)
	}
	sent := binding(nil)
	_ = c.BindPod(t.Context(), sent, metav1.CreateOptions{})
	sent.Target.Name = "n2"
	actions := c.Actions()
	if last := actions[len(actions)-1]; last.Object.(*corev1.Binding).Target.Name != "n1" {
		t.Errorf("recorded %+v, want a copy of what was sent", last.Object)
	}
}

// What a delete answers: a Pod that goes is marked, another object is as it was.
func TestDeleteAnswers(t *testing.T) {
	kept := secretNamed("kept")
	kept.Finalizers = []string{"example.com/a"}
	bound := goodPod("bound")
	bound.Spec.NodeName = "n1"
	c := newCI(t, secretNamed("secret"), kept, goodPod("pod"), bound)
	for _, tt := range []struct {
		resource, name string
		dryRun         bool
		marked, gone   bool
		moved          int // revisions, and the answer has the last
	}{
		{"secrets", "secret", true, false, false, 0},
		{"secrets", "secret", false, false, true, 1},
		{"secrets", "kept", true, true, false, 0},
		{"secrets", "kept", false, true, false, 1},
		{"secrets", "kept", false, true, false, 0}, // again
		{"pods", "bound", true, true, false, 0},
		{"pods", "bound", false, true, false, 1},
		{"pods", "pod", true, true, false, 0},
		{"pods", "pod", false, true, true, 1},
	} {
		r := c.Resource(tt.resource)
		before, was := c.Revision(), r.Stored("ci", tt.name)
		var opts metav1.DeleteOptions
		if tt.dryRun {
			opts.DryRun = []string{"All"}
		}
		got, err := r.Delete(t.Context(), "ci", tt.name, opts)
		if err != nil {
			t.Fatal(err)
		}
		want := was.GetResourceVersion()
		if tt.moved > 0 {
			want = c.Revision()
		}
		if got.GetResourceVersion() != want || (c.Revision() != before) != (tt.moved > 0) {
			t.Errorf("%+v: answered at %s, revision %s after %s", tt, got.GetResourceVersion(), c.Revision(), before)
		}
		if marked := got.GetDeletionTimestamp() != nil; marked != tt.marked {
			t.Errorf("%+v: marked %v", tt, marked)
		}
		if gone := r.Stored("ci", tt.name) == nil; gone != tt.gone {
			t.Errorf("%+v: gone %v", tt, gone)
		}
	}
	uid, name := types.UID("other"), "kept"
	_, err := c.Resource("secrets").Delete(t.Context(), "ci", "", metav1.DeleteOptions{})
	checkError(t, err, metav1.StatusReasonBadRequest, "resource name may not be empty")
	preconditions := &metav1.Preconditions{UID: &uid}
	if _, err := c.Resource("secrets").Delete(t.Context(), "ci", name, metav1.DeleteOptions{Preconditions: preconditions}); !apierrors.IsConflict(err) {
		t.Errorf("Delete() = %v, want a conflict", err)
	}
	preconditions.UID = nil
	actions := c.Actions()
	if got := actions[len(actions)-1].Preconditions; got == nil || got.UID == nil || *got.UID != "other" {
		t.Errorf("recorded %+v, want a copy of what was sent", got)
	}
}

// A collection is deleted until an error, but for what is gone already.
func TestDeleteCollectionErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		fault *fault.Fault
		list  metav1.ListOptions
		want  string // what is left
		fails bool
	}{
		"good":          {},
		"a bad query":   {list: metav1.ListOptions{LabelSelector: "!!"}, want: "a b c", fails: true},
		"a broken call": {fault: fault.On("delete", "secrets", broken).Of("ci", "b"), want: "b c", fails: true},
		"one is gone":   {fault: fault.On("delete", "secrets", fault.NotFound).Of("ci", "b"), want: "b"},
	} {
		c := newCI(t, secretNamed("a"), secretNamed("b"), secretNamed("c"))
		if tt.fault != nil {
			c.Inject(tt.fault)
		}
		got, _, err := c.Resource("secrets").DeleteCollection(t.Context(), "ci", metav1.DeleteOptions{}, tt.list)
		if (err != nil) != tt.fails || (len(got) == 3) == tt.fails {
			t.Errorf("%s: %d objects, %v", name, len(got), err)
		}
		var left []string
		for _, s := range must[[]*corev1.Secret](t)(c.ListSecrets(t.Context(), "ci")) {
			left = append(left, s.Name)
		}
		if join(left) != tt.want {
			t.Errorf("%s: %v are left, want %s", name, left, tt.want)
		}
	}
}

// A channel of events is closed at the end of its context, and by Stop, and then nothing
// is watched any more.
func TestWatchChannelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]func(watch.Interface, context.CancelFunc){
			"Stop":   func(w watch.Interface, _ context.CancelFunc) { w.Stop() },
			"cancel": func(_ watch.Interface, cancel context.CancelFunc) { cancel() },
		} {
			for _, unread := range []bool{false, true} {
				c := newCI(t)
				ctx, cancel := context.WithCancel(t.Context())
				w := must[watch.Interface](t)(c.CoreV1().Secrets("ci").Watch(ctx, metav1.ListOptions{}))
				if unread {
					must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("a")))
				}
				synctest.Wait()
				end(w, cancel)
				synctest.Wait()
				if e, ok := <-w.ResultChan(); ok || c.OpenWatches() != 0 {
					t.Errorf("%s, unread %v: got %+v, %d watches are open", name, unread, e, c.OpenWatches())
				}
				cancel()
			}
		}
	})
}

// recorder is a FieldManager that notes what it is asked, and fails on demand.
type recorder struct {
	asked []string
	err   error
}

func (r *recorder) note(live, next fake.Object, subresource, manager string) {
	kind := func(o fake.Object) string { return o.GetObjectKind().GroupVersionKind().Kind + ":" + o.GetName() }
	if ns, ok := next.(*corev1.Namespace); ok {
		subresource += fmt.Sprint(ns.Spec.Finalizers)
	}
	r.asked = append(r.asked, fmt.Sprintf("%s -> %s %s by %s", kind(live), kind(next), subresource, manager))
}

func (r *recorder) Update(live, next fake.Object, subresource, manager string) (fake.Object, error) {
	r.note(live, next, subresource, manager)
	next.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate}})
	return next, r.err
}

func (r *recorder) Apply(live fake.Object, configuration *unstructured.Unstructured, subresource, manager string, force bool) (fake.Object, error) {
	r.note(live, live, subresource, fmt.Sprint(manager, " force ", force))
	o := live.DeepCopyObject().(fake.Object)
	o.SetName(configuration.GetName())
	o.SetLabels(configuration.GetLabels())
	o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationApply}})
	return o, r.err
}

// The manager of fields gets every write, with its kind, and who made it.
func TestManageFieldsOfWrites(t *testing.T) {
	r := &recorder{}
	c := newCI(t)
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	c.Now = func() time.Time { return now }
	c.ManageFields(r)
	ctx, secrets := t.Context(), c.Resource("secrets")
	s := must[fake.Object](t)(secrets.Create(ctx, secretNamed("a"), metav1.CreateOptions{FieldManager: "me"}))
	if fields := s.GetManagedFields(); len(fields) != 1 || fields[0].Time == nil || !fields[0].Time.Time.Equal(now) || s.GetObjectKind().GroupVersionKind().Kind != "" {
		t.Errorf("created %+v, want one manager since %v", s, now)
	}
	s.SetLabels(map[string]string{"a": "b"})
	must[fake.Object](t)(secrets.Update(fake.WithActor(ctx, "controller"), "", s, metav1.UpdateOptions{}))
	must[fake.Object](t)(secrets.Patch(ctx, "ci", "a", "", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"c"}}}`), metav1.PatchOptions{}))
	must[fake.Object](t)(c.Resource("namespaces").Create(ctx, &corev1.Namespace{ObjectMeta: meta("", "cd"), Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"example.com/x"}}}, metav1.CreateOptions{}))
	ns := c.Resource("namespaces").Stored("", "cd").(*corev1.Namespace)
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		t.Errorf("the Namespace has the finalizers %v", ns.Spec.Finalizers)
	}
	ns.Status.Phase = corev1.NamespaceActive
	must[fake.Object](t)(c.Resource("namespaces").Update(ctx, "status", ns, metav1.UpdateOptions{}))
	must[*corev1.Pod](t)(c.CreatePod(ctx, goodPod("p")))
	if err := c.BindPod(ctx, &corev1.Binding{ObjectMeta: meta("ci", "p"), Target: corev1.ObjectReference{Name: "n"}}, metav1.CreateOptions{FieldManager: "scheduler"}); err != nil {
		t.Error(err)
	}
	want := []string{
		"Secret: -> Secret:a  by me",
		"Secret:a -> Secret:a  by controller",
		"Secret:a -> Secret:a  by unknown",
		"Namespace: -> Namespace:cd [example.com/x] by unknown",
		"Namespace:cd -> Namespace:cd status[example.com/x kubernetes] by unknown",
		"Pod: -> Pod:p  by unknown",
		"Pod:p -> Pod:p binding by scheduler",
	}
	if diff := cmp.Diff(want, r.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	must[*corev1.Pod](t)(c.CreatePod(ctx, goodPod("q")))
	r.err = errors.New("schema")
	if err := c.BindPod(ctx, &corev1.Binding{ObjectMeta: meta("ci", "q"), Target: corev1.ObjectReference{Name: "n"}}, metav1.CreateOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("BindPod() = %v, want an internal error", err)
	}
	_, err := secrets.Create(ctx, secretNamed("b"), metav1.CreateOptions{})
	if !apierrors.IsInternalError(err) || secrets.Stored("ci", "b") != nil {
		t.Errorf("Create() = %v, want an internal error and nothing stored", err)
	}
}

// What is applied is created or replaced, and belongs to who applied it.
func TestApplyOfCluster(t *testing.T) {
	r := &recorder{}
	c := newCI(t)
	c.ManageFields(r)
	secrets, yes, no := c.Resource("secrets"), true, false
	apply := func(name, subresource, data string, opts metav1.PatchOptions) (fake.Object, bool, error) {
		r.asked = nil
		opts.FieldManager = "me"
		return secrets.Apply(t.Context(), "ci", name, subresource, []byte(data), opts)
	}
	const data = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","labels":{"x":"y"}}}`
	got, created, err := apply("a", "", data, metav1.PatchOptions{})
	if err != nil || !created || got.GetLabels()["x"] != "y" || len(got.GetManagedFields()) != 1 || got.GetManagedFields()[0].Time == nil || r.asked[0] != "Secret: -> Secret:  by me force false" {
		t.Errorf("Apply() = %v, %v, %v, asked %v", got, created, err, r.asked)
	}
	_, created, err = apply("a", "", data, metav1.PatchOptions{Force: &yes})
	if err != nil || created || r.asked[0] != "Secret:a -> Secret:a  by me force true" {
		t.Errorf("Apply() again = %v, %v, asked %v", created, err, r.asked)
	}
	if _, _, err := apply("a", "", data, metav1.PatchOptions{Force: &no}); err != nil || r.asked[0] != "Secret:a -> Secret:a  by me force false" {
		t.Errorf("Apply() = %v, asked %v", err, r.asked)
	}
	if _, created, err := apply("", "", data, metav1.PatchOptions{}); err == nil || created {
		t.Errorf("Apply() = %v, %v without a name, want an error", created, err)
	}
	_, created, err = apply("b", "", data, metav1.PatchOptions{})
	if created {
		t.Error("what was refused is said to be created")
	}
	checkError(t, err, metav1.StatusReasonBadRequest, "the name of the object (a) does not match the name on the URL (b)")
	_, _, err = apply("b", "status", data, metav1.PatchOptions{})
	checkError(t, err, metav1.StatusReasonNotFound, `secrets "b" not found`)
	twice := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","labels":{"x":"y"},"labels":{"x":"y"}}}`
	if _, _, err := apply("a", "", twice, metav1.PatchOptions{FieldValidation: "Strict"}); !apierrors.IsBadRequest(err) {
		t.Errorf("Apply() = %v of a key that is repeated, want BadRequest", err)
	}
	if _, _, err := apply("a", "", twice, metav1.PatchOptions{FieldValidation: "Ignore"}); err != nil {
		t.Errorf("Apply() = %v of a key that is repeated", err)
	}
	r.err = apierrors.NewConflict(corev1.Resource("secrets"), "a", errors.New("owned"))
	if _, _, err := apply("a", "", data, metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("Apply() = %v, want the manager's conflict", err)
	}
}

// Actions have the revision after them.
func TestActionRevisions(t *testing.T) {
	c := newCI(t)
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("a")))
	must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "a"))
	must[[]*corev1.Secret](t)(c.TokenSecrets(t.Context(), "ci", "builder"))
	must[*fake.Watch](t)(c.Watch(t.Context(), "events", "ci", metav1.ListOptions{})).Stop()
	for _, action := range c.Actions() {
		if action.Revision != 2 || action.Namespace != "ci" {
			t.Errorf("%s: revision %d, want 2 in ci", action, action.Revision)
		}
	}
}
