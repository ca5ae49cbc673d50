package saruntime

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// wired is a client that keeps the options of the last call, and changes what it gets.
type wired struct {
	client.Client
	listed  *client.ListOptions
	deleted *client.DeleteOptions
	object  client.Object
}

func (w *wired) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	o.SetResourceVersion("9")
	return nil
}

func (w *wired) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	o.SetResourceVersion("9")
	return io.EOF
}

func (w *wired) List(_ context.Context, _ client.ObjectList, opts ...client.ListOption) error {
	w.listed = (&client.ListOptions{}).ApplyOptions(opts)
	return nil
}

func (w *wired) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	w.object, w.deleted = o, (&client.DeleteOptions{}).ApplyOptions(opts)
	return nil
}

// Every option reaches the API server, and objects stay as they are.
func TestOptions(t *testing.T) {
	ctx, w := t.Context(), &wired{}
	secrets := core{w, w}.Secrets("ci")
	uid, seconds, policy, yes := types.UID("u"), int64(7), metav1.DeletePropagationForeground, true
	del := metav1.DeleteOptions{
		GracePeriodSeconds: &seconds, DryRun: []string{"All"}, PropagationPolicy: &policy,
		Preconditions: &metav1.Preconditions{UID: &uid}, IgnoreStoreReadErrorWithClusterBreakingPotential: &yes,
	}
	if err := secrets.Delete(ctx, "a", del); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&del, w.deleted.AsDeleteOptions()); diff != "" || w.object.GetNamespace() != "ci" || w.object.GetName() != "a" {
		t.Errorf("deleted %s/%s with other options (-want +got):\n%s", w.object.GetNamespace(), w.object.GetName(), diff)
	}
	list := metav1.ListOptions{FieldSelector: "type=x", LabelSelector: "a=b", Limit: 5, Continue: "c", ResourceVersion: "3", TimeoutSeconds: &seconds}
	if _, err := secrets.List(ctx, list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&list, w.listed.AsListOptions()); diff != "" || w.listed.Namespace != "ci" {
		t.Errorf("listed %q with other options (-want +got):\n%s", w.listed.Namespace, diff)
	}
	plain := clientfake.NewClientBuilder().WithObjects(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "a"}}).Build()
	if list, err := (core{plain, plain}).Secrets("ci").List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("List() = %v, %v, want the Secret", list, err)
	}
	w.listed = nil
	for _, opts := range []metav1.ListOptions{{FieldSelector: "?"}, {LabelSelector: "!!"}} {
		if list, err := secrets.List(ctx, opts); err == nil || list != nil || w.listed != nil {
			t.Errorf("List(%v) = %v, %v, want an error and no call", opts, list, err)
		}
	}
	sent := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	if got, err := secrets.Create(ctx, sent, metav1.CreateOptions{}); err != nil || got.ResourceVersion != "9" || sent.ResourceVersion != "" {
		t.Errorf("Create() = %v, %v of %v, want the answer, and the object as it was", got, err, sent)
	}
	if _, err := secrets.Update(ctx, sent, metav1.UpdateOptions{}); err != io.EOF || sent.ResourceVersion != "" {
		t.Errorf("Update() = %v of %v, want io.EOF, and the object as it was", err, sent)
	}
}

// named is a reader that is no struct.
type named string

func (named) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func (named) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// pointed is a reader only by its address.
type pointed struct{ r client.Reader }

func (p *pointed) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	return p.r.Get(ctx, key, o, opts...)
}

func (p *pointed) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return p.r.List(ctx, list, opts...)
}

// A cache is found wherever a client has it, and none where there is none.
func TestRequireLive(t *testing.T) {
	type value struct{ cache.Cache }
	loop := &struct{ client.Client }{}
	loop.Client = loop
	for name, tt := range map[string]struct {
		reader client.Reader
		cached bool
	}{
		"a cache":            {&memory{}, true},
		"a cache in a field": {struct{ client.Reader }{&memory{}}, true},
		"a cache as a value": {struct{ client.Reader }{value{}}, true},
		"a cache beside a client": {struct {
			client.Client
			Cache cache.Cache
		}{nil, &memory{}}, true},
		"no cache beside a client": {struct {
			client.Client
			Cache cache.Cache
		}{}, false},
		"a nil cache":        {struct{ client.Reader }{(*memory)(nil)}, false},
		"what is no struct":  {named("x"), false},
		"a field of no kind": {struct{ client.Reader }{named("x")}, false},
		"itself":             {loop, false},
		"a cache beside a client that isn't read": {struct {
			client.Client
			tools struct{ c cache.Cache }
		}{nil, struct{ c cache.Cache }{&memory{}}}, false},
		"a reader as a value": {struct {
			client.Client
			r pointed
		}{nil, pointed{&memory{}}}, true},
	} {
		mistakes := configerror.List{Config: "c"}
		requireLive(&mistakes, "f", tt.reader)
		if err := mistakes.Err(); (err != nil) != tt.cached {
			t.Errorf("%s: %v, want a mistake: %v", name, err, tt.cached)
		}
	}
	for _, c := range []client.Client{nil, struct {
		client.Client
		Cache cache.Cache
	}{nil, &memory{}}} {
		if got, err := NewCertificatesClient(c); err == nil || got != nil {
			t.Errorf("NewCertificatesClient() = %v, %v, want an error", got, err)
		}
	}
}
