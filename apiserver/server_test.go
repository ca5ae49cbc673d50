package apiserver_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	genericadmission "k8s.io/apiserver/pkg/admission"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
)

const (
	testIssuer = "https://issuer.example"
	adminToken = "admin-token"
)

// A testServer is a generic API server whose objects are those of a fake cluster.
type testServer struct {
	*fake.Cluster
	parts *apiserver.Parts
	http  *httptest.Server
	admin kubernetes.Interface
	audit *recorder
	allow sync.Map // rules, besides what the admin may
	names sync.Map // rules with the name of an object in place of a path
}

// startServer starts a server. What its author has to write for this library is between
// the marks; change changes the config.
func startServer(t *testing.T, change func(*apiserver.Config)) *testServer {
	t.Helper()
	s := &testServer{Cluster: &fake.Cluster{}, audit: &recorder{}}
	scheme := runtime.NewScheme()
	check(t, corev1.AddToScheme(scheme))
	storage := map[string]rest.Storage{}
	for resource, object := range map[string]rest.Storage{
		"namespaces":      &store{new: func() runtime.Object { return new(corev1.Namespace) }, list: func() runtime.Object { return new(corev1.NamespaceList) }, cluster: true, singular: "namespace"},
		"nodes":           &store{new: func() runtime.Object { return new(corev1.Node) }, list: func() runtime.Object { return new(corev1.NodeList) }, cluster: true, singular: "node"},
		"serviceaccounts": &store{new: func() runtime.Object { return new(corev1.ServiceAccount) }, list: func() runtime.Object { return new(corev1.ServiceAccountList) }, singular: "serviceaccount"},
		"secrets":         &store{new: func() runtime.Object { return new(corev1.Secret) }, list: func() runtime.Object { return new(corev1.SecretList) }, singular: "secret"},
		"configmaps":      &store{new: func() runtime.Object { return new(corev1.ConfigMap) }, list: func() runtime.Object { return new(corev1.ConfigMapList) }, singular: "configmap"},
		"pods":            &store{new: func() runtime.Object { return new(corev1.Pod) }, list: func() runtime.Object { return new(corev1.PodList) }, singular: "pod"},
	} {
		object.(*store).Resource = s.Resource(resource)
		storage[resource] = object
	}
	key := must(keys.Generate(keys.ES256))(t)
	admin := &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}

	// Begin.
	check(t, apiserver.AddToScheme(scheme))
	check(t, apiserver.AddHub(scheme, corev1.SchemeGroupVersion))
	cfg := apiserver.Config{
		Scheme:       scheme,
		Keys:         must(keys.NewSet(key.Public()))(t),
		APIAudiences: []string{"api"},
		Live: lookup.FromStorage(scheme, lookup.Storage{
			ServiceAccounts: storage["serviceaccounts"].(rest.Getter), Secrets: storage["secrets"].(rest.Getter),
			Pods: storage["pods"].(rest.Getter), Nodes: storage["nodes"].(rest.Getter),
		}),
		Legacy:    true,
		Tracking:  lookup.TrackingStorage(scheme, storage["configmaps"].(lookup.ConfigMapStorage)),
		Anonymous: nil,
		Further:   []authenticator.Token{agnostic{tokenfile.New(map[string]*user.DefaultInfo{adminToken: admin})}},
	}
	cfg.Issuer.Issuer, cfg.Issuer.Signer = testIssuer, must(keys.NewSigner(key))(t)
	cfg.Discovery.ExternalAddress = "issuer.example"
	if change != nil {
		change(&cfg)
	}
	parts := must(apiserver.New(cfg))(t)
	storage[apiserver.TokenResource] = parts.TokenREST
	// End.
	s.parts = parts

	codecs := serializer.NewCodecFactory(scheme)
	config := genericapiserver.NewConfig(codecs)
	config.ExternalAddress = "127.0.0.1:443"
	config.LoopbackClientConfig = &restclient.Config{}
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.LegacyAPIGroupPrefixes.Insert("/api")
	config.Authorization.Authorizer = authorizer.AuthorizerFunc(s.authorize)
	config.AuditBackend = s.audit
	config.AuditPolicyRuleEvaluator = auditpolicy.NewFakePolicyRuleEvaluator(auditinternal.LevelMetadata, nil)

	// Begin.
	plugins := genericadmission.NewPlugins()
	apiserver.RegisterAdmission(plugins)
	chain, err := plugins.NewFromPlugins([]string{apiserver.AdmissionPluginName}, must(genericadmission.ReadAdmissionConfiguration(nil, "", nil))(t), parts.Initializer(), nil)
	check(t, err)
	config.AdmissionControl = chain
	check(t, parts.ApplyTo(config))
	// End.

	server := must(config.Complete(nil).New("test", genericapiserver.NewEmptyDelegate()))(t)
	core := genericapiserver.NewDefaultAPIGroupInfo("", scheme, runtime.NewParameterCodec(scheme), codecs)
	core.VersionedResourcesStorageMap["v1"] = storage
	check(t, server.InstallLegacyAPIGroup("/api", &core))

	// Begin.
	check(t, parts.Install(server))
	// End.

	s.http = httptest.NewUnstartedServer(server.PrepareRun().Handler)
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	server.RunPostStartHooks(t.Context())
	s.admin = s.client(t, adminToken, nil)
	return s
}

// agnostic answers for the audiences that are asked for.
type agnostic struct{ authenticator.Token }

func (a agnostic) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	r, ok, err := a.Token.AuthenticateToken(ctx, token)
	if ok {
		r.Audiences, _ = authenticator.AudiencesFrom(ctx)
	}
	return r, ok, err
}

// authorize lets the admin do everything, and others what allow has.
func (s *testServer) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, group := range a.GetUser().GetGroups() {
		if group == user.SystemPrivilegedGroup {
			return authorizer.DecisionAllow, "", nil
		}
	}
	_, ok := s.allow.Load(rule(a.GetUser().GetName(), a.GetVerb(), a.GetAPIGroup(), a.GetResource(), a.GetPath()))
	_, named := s.names.Load(rule(a.GetUser().GetName(), a.GetVerb(), a.GetAPIGroup(), a.GetResource(), a.GetName()))
	if ok || named {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "nothing allows it", nil
}

// rule is the key in allow.
func rule(user, verb, group, resource, path string) string {
	return user + " " + verb + " " + group + "/" + resource + " " + path
}

// client returns a client of the server that sends token.
func (s *testServer) client(t *testing.T, token string, warnings restclient.WarningHandler) *kubernetes.Clientset {
	t.Helper()
	if warnings == nil {
		warnings = restclient.NoWarnings{}
	}
	return must(kubernetes.NewForConfig(&restclient.Config{
		Host: s.http.URL, BearerToken: token, QPS: -1, WarningHandler: warnings,
		TLSClientConfig: restclient.TLSClientConfig{Insecure: true},
	}))(t)
}

// get sends a GET and returns the response.
func (s *testServer) get(t *testing.T, path, token string) *http.Response {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+path, nil))(t)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a test server
	response := must(client.Do(r))(t)
	t.Cleanup(func() { _ = response.Body.Close(); client.CloseIdleConnections() })
	return response
}

// createToken requests a token for shop/web.
func (s *testServer) createToken(t *testing.T, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	t.Helper()
	return s.admin.CoreV1().ServiceAccounts("shop").CreateToken(t.Context(), "web", tr, metav1.CreateOptions{})
}

// review returns the status of a TokenReview.
func (s *testServer) review(t *testing.T, token string, audiences ...string) authenticationv1.TokenReviewStatus {
	t.Helper()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}
	return must(s.admin.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{}))(t).Status
}

// A recorder is an audit backend.
type recorder struct {
	mu     sync.Mutex
	events []auditinternal.Event
}

var _ audit.Backend = (*recorder)(nil)

func (r *recorder) Run(<-chan struct{}) error { return nil }
func (r *recorder) Shutdown()                 {}
func (r *recorder) String() string            { return "recorder" }

func (r *recorder) ProcessEvents(events ...*auditinternal.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.events = append(r.events, *e.DeepCopy())
	}
	return true
}

// last returns the annotations of the last request of resource/subresource.
func (r *recorder) last(resource, subresource string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if e := r.events[i]; e.Stage != auditinternal.StageRequestReceived && e.ObjectRef != nil && e.ObjectRef.Resource == resource && e.ObjectRef.Subresource == subresource {
			return e.Annotations
		}
	}
	return nil
}

// A store is the storage of one kind: what the author of a server has anyway.
type store struct {
	*fake.Resource
	new, list func() runtime.Object
	cluster   bool
	singular  string
}

var _ rest.Storage = (*store)(nil)

func (s *store) New() runtime.Object     { return s.new() }
func (s *store) NewList() runtime.Object { return s.list() }
func (s *store) Destroy()                {}
func (s *store) NamespaceScoped() bool   { return !s.cluster }
func (s *store) GetSingularName() string { return s.singular }

// in returns the namespace of a request.
func (s *store) in(ctx context.Context) string {
	if s.cluster {
		return ""
	}
	return request.NamespaceValue(ctx)
}

func (s *store) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if info, ok := request.RequestInfoFrom(ctx); !ok || info.Name != name && info.Resource == s.singular+"s" {
		panic("the context isn't that of a request for the object") // SRV-25
	}
	return s.Resource.Get(ctx, s.in(ctx), name)
}

func (s *store) List(ctx context.Context, _ *metainternalversion.ListOptions) (runtime.Object, error) {
	items, listMeta, err := s.Resource.List(ctx, s.in(ctx), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	objects := make([]runtime.Object, len(items))
	for i := range items {
		objects[i] = items[i]
	}
	list := s.list()
	list.(metav1.ListInterface).SetResourceVersion(listMeta.ResourceVersion)
	return list, meta.SetList(list, objects)
}

func (s *store) Watch(ctx context.Context, o *metainternalversion.ListOptions) (watch.Interface, error) {
	w, err := s.Resource.Watch(ctx, s.in(ctx), metav1.ListOptions{ResourceVersion: o.ResourceVersion})
	if err != nil {
		return nil, err
	}
	return w.Interface(ctx), nil
}

func (s *store) Create(ctx context.Context, object runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	if err := validate(ctx, object.DeepCopyObject()); err != nil {
		return nil, err
	}
	created := object.(fake.Object)
	created.SetNamespace(s.in(ctx))
	created.SetManagedFields(nil)
	return s.Resource.Create(ctx, created, *o)
}

func (s *store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	old, err := s.Resource.Get(ctx, s.in(ctx), name)
	if err != nil {
		return nil, false, err
	}
	changed, err := info.UpdatedObject(ctx, old)
	if err != nil {
		return nil, false, err
	}
	if err := validate(ctx, changed.DeepCopyObject(), old); err != nil {
		return nil, false, err
	}
	changed.(fake.Object).SetManagedFields(nil)
	updated, err := s.Resource.Update(ctx, "", changed.(fake.Object), *o)
	return updated, false, err
}

func (s *store) Delete(ctx context.Context, name string, _ rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	deleted, err := s.Resource.Delete(ctx, s.in(ctx), name, *o)
	return deleted, true, err
}

func (s *store) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(schema.GroupResource{Resource: s.singular + "s"}).ConvertToTable(ctx, object, options)
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
