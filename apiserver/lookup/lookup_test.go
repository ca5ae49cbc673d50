package lookup_test

import (
	"cmp"
	"context"
	"errors"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	admissionregistrationv1listers "k8s.io/client-go/listers/admissionregistration/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/lastused"
)

// kinds look up the object called a of each kind, in the namespace shop if it is in
// one, and return its UID. has reports whether there is a getter.
var kinds = map[string]struct {
	has func(lookup.Getters) bool
	get func(context.Context, lookup.Getters) (types.UID, error)
}{
	"ServiceAccount": {func(g lookup.Getters) bool { return g.ServiceAccounts != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) {
		return uid(g.ServiceAccounts.GetServiceAccount(ctx, "shop", "a"))
	}},
	"Secret": {func(g lookup.Getters) bool { return g.Secrets != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) {
		return uid(g.Secrets.GetSecret(ctx, "shop", "a"))
	}},
	"Pod": {func(g lookup.Getters) bool { return g.Pods != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) {
		return uid(g.Pods.GetPod(ctx, "shop", "a"))
	}},
	"Node": {func(g lookup.Getters) bool { return g.Nodes != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) { return uid(g.Nodes.GetNode(ctx, "a")) }},
	"ValidatingWebhookConfiguration": {func(g lookup.Getters) bool { return g.Webhooks != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) {
		return uid(g.Webhooks.GetValidatingWebhookConfiguration(ctx, "a"))
	}},
	"MutatingWebhookConfiguration": {func(g lookup.Getters) bool { return g.Webhooks != nil }, func(ctx context.Context, g lookup.Getters) (types.UID, error) {
		return uid(g.Webhooks.GetMutatingWebhookConfiguration(ctx, "a"))
	}},
}

func uid[T any, P interface {
	*T
	metav1.Object
}](object P, err error) (types.UID, error) {
	if object == nil {
		return "", err
	}
	return object.GetUID(), err
}

// A source has one object of each kind, with its own name as the UID, or fails.
type source struct {
	uid types.UID // none if empty
	err error
}

func found[T any, P interface {
	*T
	metav1.Object
}](s source, namespace, name string) (*T, error) {
	if s.uid == "" || namespace+"/"+name != "shop/a" {
		return nil, s.err
	}
	object := P(new(T))
	object.SetUID(s.uid)
	return object, s.err
}

func (s source) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return found[corev1.ServiceAccount](s, namespace, name)
}

func (s source) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return found[corev1.Secret](s, namespace, name)
}

func (s source) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return found[corev1.Pod](s, namespace, name)
}

func (s source) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return found[corev1.Node](s, "shop", name)
}

func (s source) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return found[admissionregistrationv1.ValidatingWebhookConfiguration](s, "shop", name)
}

func (s source) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return found[admissionregistrationv1.MutatingWebhookConfiguration](s, "shop", name)
}

func (s source) getters() lookup.Getters {
	return lookup.Getters{ServiceAccounts: s, Secrets: s, Pods: s, Nodes: s, Webhooks: s}
}

// What the cache doesn't have, for whatever reason, is looked up live.
func TestOr(t *testing.T) {
	down := errors.New("down")
	for _, tt := range []struct {
		name         string
		cached, live lookup.Getters
		want         types.UID // no getter if empty and there is no error
		wantErr      error
	}{
		{name: "cached", cached: source{uid: "cached"}.getters(), live: source{uid: "live"}.getters(), want: "cached"},
		{name: "not cached", cached: source{err: down}.getters(), live: source{uid: "live"}.getters(), want: "live"},
		{name: "an error beside the object", cached: source{uid: "cached", err: down}.getters(), live: source{uid: "live"}.getters(), want: "live"},
		{name: "neither object nor error", cached: source{}.getters(), live: source{uid: "live"}.getters(), want: "live"},
		{name: "nowhere", cached: source{}.getters(), live: source{err: down}.getters(), wantErr: down},
		{name: "no cache", live: source{uid: "live"}.getters(), want: "live"},
		{name: "nothing live", cached: source{uid: "cached"}.getters()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.cached.Or(tt.live)
			for kind, k := range kinds {
				if has := k.has(g); has != (tt.want != "" || tt.wantErr != nil) {
					t.Errorf("%s: there is a getter: %v", kind, has)
				} else if has {
					if got, err := k.get(t.Context(), g); got != tt.want || !errors.Is(err, tt.wantErr) {
						t.Errorf("%s: got %q, %v, want %q, %v", kind, got, err, tt.want, tt.wantErr)
					}
				}
			}
		})
	}
}

func meta(uid types.UID) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: "a", UID: uid}
}

func indexer(object any) cache.Indexer {
	i := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := i.Add(object); err != nil {
		panic(err)
	}
	return i
}

// listersOf returns those of some kinds.
func listersOf(kinds ...string) (l lookup.Listers) {
	for _, kind := range kinds {
		switch kind {
		case "ServiceAccount":
			l.ServiceAccounts = corev1listers.NewServiceAccountLister(indexer(&corev1.ServiceAccount{ObjectMeta: meta("listed")}))
		case "Secret":
			l.Secrets = corev1listers.NewSecretLister(indexer(&corev1.Secret{ObjectMeta: meta("listed")}))
		case "Pod":
			l.Pods = corev1listers.NewPodLister(indexer(&corev1.Pod{ObjectMeta: meta("listed")}))
		case "Node":
			l.Nodes = corev1listers.NewNodeLister(indexer(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "listed"}}))
		case "ValidatingWebhookConfiguration":
			l.ValidatingWebhooks = admissionregistrationv1listers.NewValidatingWebhookConfigurationLister(indexer(&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "listed"}}))
		case "MutatingWebhookConfiguration":
			l.MutatingWebhooks = admissionregistrationv1listers.NewMutatingWebhookConfigurationLister(indexer(&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "listed"}}))
		}
	}
	return l
}

// A store is storage of one kind, which returns an object that knows who asked.
type store struct {
	kind   string
	object func(uid types.UID) runtime.Object
}

func (s store) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	info, _ := request.RequestInfoFrom(ctx)
	if want := map[bool]string{true: "shop"}[clusterWide[s.kind] == ""]; request.NamespaceValue(ctx) != want || name != "a" || info.Resource != cmp.Or(clusterWide[s.kind], resources[s.kind]) {
		return nil, apierrors.NewBadRequest("asked for " + info.Resource + " in " + request.NamespaceValue(ctx))
	}
	return s.object("stored"), nil
}

var (
	resources   = map[string]string{"ServiceAccount": "serviceaccounts", "Secret": "secrets", "Pod": "pods"}
	clusterWide = map[string]string{
		"Node":                           "nodes",
		"ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
		"MutatingWebhookConfiguration":   "mutatingwebhookconfigurations",
	}
)

// storageOf returns that of some kinds.
func storageOf(kinds ...string) (s lookup.Storage) {
	for _, kind := range kinds {
		switch kind {
		case "ServiceAccount":
			s.ServiceAccounts = store{kind, func(uid types.UID) runtime.Object { return &corev1.ServiceAccount{ObjectMeta: meta(uid)} }}
		case "Secret":
			s.Secrets = store{kind, func(uid types.UID) runtime.Object { return &corev1.Secret{ObjectMeta: meta(uid)} }}
		case "Pod":
			s.Pods = store{kind, func(uid types.UID) runtime.Object { return &corev1.Pod{ObjectMeta: meta(uid)} }}
		case "Node":
			s.Nodes = store{kind, func(uid types.UID) runtime.Object { return &corev1.Node{ObjectMeta: meta(uid)} }}
		case "ValidatingWebhookConfiguration":
			s.ValidatingWebhooks = store{kind, func(uid types.UID) runtime.Object {
				return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta(uid)}
			}}
		case "MutatingWebhookConfiguration":
			s.MutatingWebhooks = store{kind, func(uid types.UID) runtime.Object {
				return &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta(uid)}
			}}
		}
	}
	return s
}

// There are getters of those kinds that there is something to read from, and of the
// webhooks if there is of both kinds.
func TestFrom(t *testing.T) {
	for _, some := range [][]string{
		nil, {"ServiceAccount"}, {"Secret"}, {"Pod"}, {"Node"}, {"ValidatingWebhookConfiguration"}, {"MutatingWebhookConfiguration"},
		{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"},
	} {
		want := map[string]bool{}
		for _, kind := range some {
			if len(some) > 1 || kind == "ServiceAccount" || kind == "Secret" || kind == "Pod" || kind == "Node" {
				want[kind] = true
			}
		}
		for uid, g := range map[types.UID]lookup.Getters{"listed": lookup.FromListers(listersOf(some...)), "stored": lookup.FromStorage(nil, storageOf(some...))} {
			for kind, k := range kinds {
				if has := k.has(g); has != want[kind] {
					t.Errorf("%s of %v: %s has a getter: %v", uid, some, kind, has)
				} else if has {
					if got, err := k.get(t.Context(), g); got != uid || err != nil {
						t.Errorf("%s: %s has the UID %q, %v", uid, kind, got, err)
					}
				}
			}
		}
	}
}

// The informers of a factory are those of its four kinds.
func TestFromInformers(t *testing.T) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	g := lookup.FromInformers(factory)
	core := factory.Core().V1()
	for object, informer := range map[runtime.Object]cache.SharedIndexInformer{
		&corev1.ServiceAccount{ObjectMeta: meta("informed")}:                    core.ServiceAccounts().Informer(),
		&corev1.Secret{ObjectMeta: meta("informed")}:                            core.Secrets().Informer(),
		&corev1.Pod{ObjectMeta: meta("informed")}:                               core.Pods().Informer(),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "informed"}}: core.Nodes().Informer(),
	} {
		if err := informer.GetIndexer().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"ServiceAccount", "Secret", "Pod", "Node"} {
		if !kinds[kind].has(g) {
			t.Errorf("there is no getter of %s", kind)
		} else if got, err := kinds[kind].get(t.Context(), g); got != "informed" || err != nil {
			t.Errorf("%s has the UID %q, %v", kind, got, err)
		}
	}
	if g.Webhooks != nil {
		t.Error("there is a getter of webhooks")
	}
}

// SRV-25: nodes of the watch cache, and Secrets that can't be patched.
func TestFromStorageAbilities(t *testing.T) {
	g := lookup.FromStorage(nil, storageOf("Secret", "Node"))
	cached := g.Nodes.(interface{ Cached() tokens.NodeGetter }).Cached()
	if node, err := cached.GetNode(t.Context(), "a"); err != nil || node.UID != "stored" {
		t.Errorf("GetNode() = %v, %v", node, err)
	}
	if secret, err := g.Secrets.(lastused.SecretPatcher).PatchSecret(t.Context(), "shop", "a", types.MergePatchType, []byte(`{}`)); !apierrors.IsMethodNotSupported(err) || secret != nil {
		t.Errorf("PatchSecret() of what can only be read = %v, %v, want MethodNotSupported", secret, err)
	}
}

// An internalMap is the internal type of a server that has one.
type internalMap struct {
	metav1.TypeMeta
	Map corev1.ConfigMap
}

func (m *internalMap) DeepCopyObject() runtime.Object { other := *m; return &other }

// mapStore is storage of ConfigMaps, as the server works with them.
type mapStore struct {
	store
	err     error
	created runtime.Object
	in      *request.RequestInfo
}

func (s *mapStore) Create(ctx context.Context, object runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	s.in, _ = request.RequestInfoFrom(ctx)
	s.created = object
	return object, s.err
}

func (s *mapStore) New() runtime.Object { return nil }

func (s *mapStore) Update(context.Context, string, rest.UpdatedObjectInfo, rest.ValidateObjectFunc, rest.ValidateObjectUpdateFunc, bool, *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return nil, false, s.err
}

// A ConfigMap is created as the server works with it, and returned as the API has it.
func TestTrackingStorageCreates(t *testing.T) {
	errBad, down := errors.New("bad"), errors.New("down")
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Version: runtime.APIVersionInternal, Kind: "ConfigMap"}, &internalMap{})
	err := errors.Join(scheme.AddConversionFunc((*internalMap)(nil), (*corev1.ConfigMap)(nil), func(a, b any, _ conversion.Scope) error {
		*b.(*corev1.ConfigMap) = a.(*internalMap).Map
		return nil
	}), scheme.AddConversionFunc((*corev1.ConfigMap)(nil), (*internalMap)(nil), func(a, b any, _ conversion.Scope) error {
		if a.(*corev1.ConfigMap).Name == "bad" {
			return errBad
		}
		b.(*internalMap).Map = *a.(*corev1.ConfigMap)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		err  error // of the storage
		want error
	}{{name: "a"}, {name: "bad", want: errBad}, {name: "a", err: down, want: down}} {
		s := &mapStore{err: tt.err}
		created, err := lookup.TrackingStorage(scheme, s).CreateConfigMap(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tt.name}})
		if (err == nil) != (tt.want == nil) || (created != nil) != (err == nil) {
			t.Errorf("%s: CreateConfigMap() = %v, %v, want %v", tt.name, created, err, tt.want)
		}
		if _, ok := s.created.(*internalMap); ok != (tt.name == "a") || (s.in != nil) != ok {
			t.Errorf("%s: the storage got a %T with %v", tt.name, s.created, s.in)
		}
		if err == nil && (created.Name != "a" || s.in.Verb != "create" || s.in.Namespace != "kube-system" || s.in.Resource != "configmaps") {
			t.Errorf("%s: CreateConfigMap() = %v in %+v", tt.name, created, s.in)
		}
	}
}
