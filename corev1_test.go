package serviceaccount_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// everything is what the packages of this module ask of a cluster.
type everything interface {
	admission.ServiceAccountGetter
	admission.SecretGetter
	sacontroller.ServiceAccountsReader
	sacontroller.ServiceAccountsClient
	sacontroller.TokensReader
	sacontroller.TokensClient
	legacytoken.CleanerReader
	legacytoken.CleanerClient
	legacytoken.TrackerReader
	legacytoken.TrackerClient
	rootca.ConfigMapsReader
	rootca.ConfigMapsClient
	tokens.ServiceAccountGetter
	tokens.SecretGetter
	tokens.PodGetter
	tokens.NodeGetter
	ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error)
}

var (
	_ everything = (*serviceaccount.CoreV1)(nil)
	_ everything = (*fake.Cluster)(nil)
)

// Each method makes one request, of the right verb, kind, namespace and name, and
// returns the client's answer or its error unchanged.
func TestCoreV1Requests(t *testing.T) {
	ctx := t.Context()
	uid := types.UID("u-1")
	opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	patch := []byte(`{"a":1}`)
	for _, kind := range []struct {
		name       string
		namespaced bool
		object     metav1.Object
	}{
		{"Namespace", false, &corev1.Namespace{}},
		{"Node", false, &corev1.Node{}},
		{"ServiceAccount", true, &corev1.ServiceAccount{}},
		{"Secret", true, &corev1.Secret{}},
		{"Pod", true, &corev1.Pod{}},
		{"ConfigMap", true, &corev1.ConfigMap{}},
	} {
		in, at := "", []any{"x"}
		if kind.namespaced {
			in, at = "shop", []any{"shop", "x"}
		}
		kind.object.SetNamespace(in)
		kind.object.SetName("x")
		with := func(args ...any) []any { return append(append([]any{}, at...), args...) }
		list := at[:len(at)-1]
		for _, tt := range []struct {
			method string
			args   []any
			want   string
		}{
			{"Get" + kind.name, at, "get " + kind.name + " in " + in + ": x"},
			{"List" + kind.name + "s", list, "list " + kind.name + " in " + in + ": limit 500"},
			{"Create" + kind.name, []any{kind.object}, "create " + kind.name + " in " + in + ": x"},
			{"Update" + kind.name, []any{kind.object}, "update " + kind.name + " in " + in + ": x"},
			{"Patch" + kind.name, with(types.MergePatchType, patch), "patch " + kind.name + " in " + in + `: x application/merge-patch+json {"a":1}`},
			{"Delete" + kind.name, with(opts), "delete " + kind.name + " in " + in + ": x u-1"},
		} {
			t.Run(tt.method, func(t *testing.T) {
				for _, failure := range []error{nil, errors.New("the server is on fire")} {
					log := &requestLog{err: failure}
					var tenants tenant.Set[*serviceaccount.CoreV1]
					tenants.Join("red", serviceaccount.FromCoreV1(log))
					byTenant, red := serviceaccount.ByTenant(tenants.Of), tenant.NewContext(ctx, "red")
					if _, err := invoke(tenant.NewContext(ctx, "blue"), byTenant, tt.method, tt.args); err == nil {
						t.Error("another tenant is served")
					}
					for ctx, clients := range map[context.Context]*serviceaccount.CoreV1{ctx: serviceaccount.FromCoreV1(log), red: byTenant} {
						log.requests = nil
						answer, err := invoke(ctx, clients, tt.method, tt.args)
						if diff := cmp.Diff([]string{tt.want}, log.requests); diff != "" {
							t.Errorf("requests (-want +got):\n%s", diff)
						}
						if err != failure {
							t.Errorf("got the error %v, want %v itself", err, failure)
						}
						if failure == nil && !strings.HasPrefix(tt.method, "Delete") && answer != "served" {
							t.Errorf("got %q, want the object that the client returned", answer)
						}
					}
				}
			})
		}
	}
}

// invoke calls the method of that name and returns the name of the object, or of
// the first one of a list, that it returned.
func invoke(ctx context.Context, clients *serviceaccount.CoreV1, method string, args []any) (string, error) {
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for _, arg := range args {
		in = append(in, reflect.ValueOf(arg))
	}
	out := reflect.ValueOf(clients).MethodByName(method).Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	if len(out) == 1 || err != nil {
		return "", err
	}
	answer := out[0]
	if answer.Kind() == reflect.Slice {
		answer = answer.Index(0)
	}
	return answer.Interface().(metav1.Object).GetName(), nil
}

func TestCoreV1RefusesNilObjects(t *testing.T) {
	log := &requestLog{}
	clients := serviceaccount.FromCoreV1(log)
	_, err := clients.CreateSecret(t.Context(), nil)
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "got a nil *v1.Secret") {
		t.Errorf("CreateSecret(nil) = %v, want a BadRequest that names the type", err)
	}
	if _, err := clients.UpdatePod(t.Context(), nil); !apierrors.IsBadRequest(err) {
		t.Errorf("UpdatePod(nil) = %v, want a BadRequest", err)
	}
	if len(log.requests) > 0 {
		t.Errorf("made the requests %q, want none", log.requests)
	}
}

// Without a client there is an error, never a panic.
func TestCoreV1WithoutClient(t *testing.T) {
	var missing *requestLog
	for name, clients := range map[string]*serviceaccount.CoreV1{
		"nil pointer": serviceaccount.FromCoreV1(missing),
		"zero value":  new(serviceaccount.CoreV1),
		"no function": serviceaccount.ByTenant(nil),
		"no CoreV1":   serviceaccount.ByTenant(func(context.Context) (*serviceaccount.CoreV1, error) { return nil, nil }),
	} {
		const want = "there is no client to call"
		for _, call := range []struct {
			method string
			args   []any
		}{
			{"GetNode", []any{"x"}},
			{"ListPods", []any{"shop"}},
			{"TokenSecrets", []any{"shop", "builder"}},
			{"CreateSecret", []any{&corev1.Secret{}}},
			{"UpdatePod", []any{&corev1.Pod{}}},
			{"PatchSecret", []any{"shop", "x", types.MergePatchType, []byte("{}")}},
			{"DeleteConfigMap", []any{"shop", "x", metav1.DeleteOptions{}}},
		} {
			if _, err := invoke(t.Context(), clients, call.method, call.args); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s = %v, want an error that has %q", name, call.method, err, want)
			}
		}
	}
}

func TestCoreV1ReadsAllPages(t *testing.T) {
	expired := apierrors.NewResourceExpired("the continue token is too old")
	tests := []struct {
		name  string
		pages []page
		want  []string
		err   error
		calls []string
	}{
		{
			name:  "three pages",
			pages: []page{{names: "a b", next: "2"}, {names: "c", next: "3"}, {names: "d"}},
			want:  []string{"a", "b", "c", "d"},
			calls: []string{"limit 500", "limit 500 continue 2", "limit 500 continue 3"},
		},
		{
			name:  "an empty page in between",
			pages: []page{{names: "a", next: "2"}, {next: "3"}, {names: "b"}},
			want:  []string{"a", "b"},
			calls: []string{"limit 500", "limit 500 continue 2", "limit 500 continue 3"},
		},
		{
			name:  "the list expires in the middle",
			pages: []page{{names: "a b", next: "2"}, {err: expired}, {names: "b c"}},
			want:  []string{"b", "c"},
			calls: []string{"limit 500", "limit 500 continue 2", "limit 0"},
		},
		{
			name:  "expired at once",
			pages: []page{{err: expired}},
			err:   expired,
			calls: []string{"limit 500"},
		},
		{
			name:  "the second page fails",
			pages: []page{{names: "a", next: "2"}, {err: errFire}},
			err:   errFire,
			calls: []string{"limit 500", "limit 500 continue 2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := &requestLog{pages: tt.pages}
			list, err := serviceaccount.FromCoreV1(log).ListSecrets(t.Context(), "shop")
			if !errors.Is(err, tt.err) {
				t.Fatalf("got the error %v, want %v", err, tt.err)
			}
			var names []string
			for _, s := range list {
				names = append(names, s.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			for i := range tt.calls {
				tt.calls[i] = "list Secret in shop: " + tt.calls[i]
			}
			if diff := cmp.Diff(tt.calls, log.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

var errFire = errors.New("the server is on fire")

// CTL-22: the type and the name annotation count, the UID annotation doesn't.
func TestCoreV1TokenSecrets(t *testing.T) {
	secret := func(name, account string, kind corev1.SecretType) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Type: kind}
		if account != "" {
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: account, corev1.ServiceAccountUIDKey: "u-" + name}
		}
		return s
	}
	cluster := fake.New(
		secret("b", "builder", corev1.SecretTypeServiceAccountToken),
		secret("a", "builder", corev1.SecretTypeServiceAccountToken),
		secret("other-account", "default", corev1.SecretTypeServiceAccountToken),
		secret("other-type", "builder", corev1.SecretTypeOpaque),
		secret("no-annotation", "", corev1.SecretTypeOpaque),
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "c", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		},
	)
	for name, clients := range map[string]*serviceaccount.CoreV1{
		"field selectors work":   serviceaccount.FromCoreV1(cluster.CoreV1()),
		"field selectors do not": serviceaccount.FromCoreV1(deafCoreV1{cluster.CoreV1()}),
	} {
		list, err := clients.TokenSecrets(t.Context(), "shop", "builder")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
			t.Errorf("%s: TokenSecrets() (-want +got):\n%s", name, diff)
		}
	}

	log := &requestLog{}
	if _, err := serviceaccount.FromCoreV1(log).TokenSecrets(t.Context(), "shop", "builder"); err != nil {
		t.Fatal(err)
	}
	want := []string{"list Secret in shop: limit 500 fields type=kubernetes.io/service-account-token"}
	if diff := cmp.Diff(want, log.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// deafCoreV1 ignores the options of lists of Secrets, as client-go's fake ignores
// field selectors.
type deafCoreV1 struct{ fake.CoreV1 }

func (c deafCoreV1) Secrets(namespace string) deafSecrets {
	return deafSecrets{c.CoreV1.Secrets(namespace)}
}

type deafSecrets struct {
	*fake.Client[corev1.Secret, corev1.SecretList, *corev1.Secret]
}

func (c deafSecrets) List(ctx context.Context, _ metav1.ListOptions) (*corev1.SecretList, error) {
	return c.Client.List(ctx, metav1.ListOptions{})
}

// requestLog is a CoreV1 client that writes down what it is asked for.
type requestLog struct {
	err      error  // every answer, if set
	pages    []page // the answers to lists, if set
	requests []string
}

type page struct {
	names, next string
	err         error
}

func (l *requestLog) Namespaces() logged[corev1.Namespace, corev1.NamespaceList] {
	return logged[corev1.Namespace, corev1.NamespaceList]{log: l, kind: "Namespace"}
}

func (l *requestLog) Nodes() logged[corev1.Node, corev1.NodeList] {
	return logged[corev1.Node, corev1.NodeList]{log: l, kind: "Node"}
}

func (l *requestLog) ServiceAccounts(namespace string) logged[corev1.ServiceAccount, corev1.ServiceAccountList] {
	return logged[corev1.ServiceAccount, corev1.ServiceAccountList]{log: l, kind: "ServiceAccount", namespace: namespace}
}

func (l *requestLog) Secrets(namespace string) logged[corev1.Secret, corev1.SecretList] {
	return logged[corev1.Secret, corev1.SecretList]{log: l, kind: "Secret", namespace: namespace}
}

func (l *requestLog) Pods(namespace string) logged[corev1.Pod, corev1.PodList] {
	return logged[corev1.Pod, corev1.PodList]{log: l, kind: "Pod", namespace: namespace}
}

func (l *requestLog) ConfigMaps(namespace string) logged[corev1.ConfigMap, corev1.ConfigMapList] {
	return logged[corev1.ConfigMap, corev1.ConfigMapList]{log: l, kind: "ConfigMap", namespace: namespace}
}

// logged is a typed client of a requestLog. Its answers are called "served".
type logged[T, L any] struct {
	log             *requestLog
	kind, namespace string
}

func (c logged[T, L]) note(verb, format string, args ...any) {
	c.log.requests = append(c.log.requests, verb+" "+c.kind+" in "+c.namespace+": "+fmt.Sprintf(format, args...))
}

func (c logged[T, L]) answer(name string) (*T, error) {
	if c.log.err != nil {
		return nil, c.log.err
	}
	o := new(T)
	any(o).(metav1.Object).SetName(name)
	return o, nil
}

func (c logged[T, L]) Create(_ context.Context, object *T, _ metav1.CreateOptions) (*T, error) {
	c.note("create", "%s", any(object).(metav1.Object).GetName())
	return c.answer("served")
}

func (c logged[T, L]) Update(_ context.Context, object *T, _ metav1.UpdateOptions) (*T, error) {
	c.note("update", "%s", any(object).(metav1.Object).GetName())
	return c.answer("served")
}

func (c logged[T, L]) Delete(_ context.Context, name string, opts metav1.DeleteOptions) error {
	c.note("delete", "%s %s", name, *opts.Preconditions.UID)
	return c.log.err
}

func (c logged[T, L]) Get(_ context.Context, name string, _ metav1.GetOptions) (*T, error) {
	c.note("get", "%s", name)
	return c.answer("served")
}

func (c logged[T, L]) List(_ context.Context, opts metav1.ListOptions) (*L, error) {
	text := fmt.Sprintf("limit %d", opts.Limit)
	if opts.Continue != "" {
		text += " continue " + opts.Continue
	}
	if opts.FieldSelector != "" {
		text += " fields " + opts.FieldSelector
	}
	c.note("list", "%s", text)
	answer := page{names: "served", err: c.log.err}
	if len(c.log.pages) > 0 {
		answer, c.log.pages = c.log.pages[0], c.log.pages[1:]
	}
	if answer.err != nil {
		return nil, answer.err
	}
	list := new(L)
	any(list).(metav1.ListInterface).SetContinue(answer.next)
	items := reflect.ValueOf(list).Elem().FieldByName("Items")
	for name := range strings.FieldsSeq(answer.names) {
		o, _ := c.answer(name)
		items.Set(reflect.Append(items, reflect.ValueOf(*o)))
	}
	return list, nil
}

func (c logged[T, L]) Patch(_ context.Context, name string, pt types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*T, error) {
	c.note("patch", "%s %s %s", name, pt, data)
	return c.answer("served")
}
