package saruntime_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	podwebhook "github.com/kubesa/serviceaccount/admission/webhook"
	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/fake"
	fakecontrollerruntime "github.com/kubesa/serviceaccount/fake/clientgo/controllerruntime"
	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// A Reader has the methods of every Reader, and can't be the Client of anything.
var (
	_ sacontroller.ServiceAccountsReader = (*saruntime.Reader)(nil)
	_ sacontroller.TokensReader          = (*saruntime.Reader)(nil)
	_ legacytoken.CleanerReader          = (*saruntime.Reader)(nil)
	_ legacytoken.TrackerReader          = (*saruntime.Reader)(nil)
	_ rootca.ConfigMapsReader            = (*saruntime.Reader)(nil)

	_ rootca.TrustBundlesReader = (*saruntime.Reader)(nil)

	_ keeper.TrustBundleReader = (*saruntime.Reader)(nil)
)

func TestReaderIsNoClient(t *testing.T) {
	var r any = (*saruntime.Reader)(nil)
	for name, is := range map[string]bool{
		"ServiceAccountsClient": is[sacontroller.ServiceAccountsClient](r),
		"TokensClient":          is[sacontroller.TokensClient](r),
		"CleanerClient":         is[legacytoken.CleanerClient](r),
		"TrackerClient":         is[legacytoken.TrackerClient](r),
		"ConfigMapsClient":      is[rootca.ConfigMapsClient](r),

		"TrustBundlesClient": is[rootca.TrustBundlesClient](r),
	} {
		if is {
			t.Errorf("the cache is a %s", name)
		}
	}
}

func is[I any](v any) bool { _, ok := v.(I); return ok }

// The client keeps the promises of every implementation, with controller-runtime's
// fake too.
func TestPromises(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Cluster {
		authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
		base := clientfake.NewClientBuilder().Build()
		return must(saruntime.NewClient(must(fakecontrollerruntime.NewClient(base, fakecontrollerruntime.Config{Authority: authority}))))
	})
}

// started returns a world whose cache has what load has stored.
func started(t *testing.T, load func(*fake.Cluster)) *world {
	t.Helper()
	w := newWorld(t)
	load(w.cluster)
	w.start(t)
	eventually(t, func() string {
		if _, err := w.runtime.Reader().ListNamespaces(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	return w
}

// DESIGN 5: what it takes to find the token Secrets of an account doesn't grow with
// the namespace.
func TestTokenSecretsFromAnIndex(t *testing.T) {
	allocs := func(secrets int) float64 {
		w := started(t, func(c *fake.Cluster) {
			must(c.CreateNamespace(t.Context(), namespace("a")))
			for i := range secrets {
				must(c.CreateSecret(t.Context(), tokenSecret("a", fmt.Sprintf("s-%d", i), fmt.Sprintf("account-%d", i/2))))
			}
		})
		r := w.runtime.Reader()
		if list := must(r.TokenSecrets(t.Context(), "a", "account-1")); len(list) != 2 || list[0].Name != "s-2" || list[1].Name != "s-3" {
			t.Fatalf("the token Secrets of account-1 are %v", list)
		}
		return testing.AllocsPerRun(20, func() { must(r.TokenSecrets(t.Context(), "a", "account-1")) })
	}
	few, many := allocs(4), allocs(2000)
	t.Logf("%v allocations among 4 Secrets, %v among 2000", few, many)
	if many > few+5 {
		t.Errorf("%v allocations among 4 Secrets, %v among 2000, want no more", few, many)
	}
}

// The cache holds what controllers need, in order and without copies, and says what it
// doesn't have.
func TestReader(t *testing.T) {
	w := started(t, func(c *fake.Cluster) {
		ctx := t.Context()
		for _, ns := range []string{"b", "a", "kube-system"} {
			must(c.CreateNamespace(ctx, namespace(ns)))
			must(c.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}))
			must(c.CreateSecret(ctx, tokenSecret(ns, "token", "default")))
			must(c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "other"}}))
			for _, name := range []string{"kube-root-ca.crt", "other"} {
				must(c.CreateConfigMap(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}))
			}
			must(c.CreatePod(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}))
		}
		must(c.CreateNode(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}))
	})
	ctx, r := t.Context(), w.runtime.Reader()
	must(r.GetNamespace(ctx, "a"))
	must(r.GetNode(ctx, "node"))
	must(r.GetPod(ctx, "a", "web"))
	must(r.GetSecret(ctx, "a", "token"))
	must(r.GetConfigMap(ctx, "a", "kube-root-ca.crt"))
	must(r.GetConfigMap(ctx, "kube-system", "kube-root-ca.crt"))
	must(r.GetConfigMap(ctx, "kube-system", "other"))
	if _, err := r.GetSecret(ctx, "a", "other"); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret that is no token Secret: %v, want NotFound", err)
	}
	if _, err := r.GetConfigMap(ctx, "a", "other"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("a ConfigMap that isn't watched: %v, want an error that says so", err)
	}
	for _, tt := range []struct {
		what, got, want string
	}{
		{"Namespaces", namesOf(r.ListNamespaces(ctx)), "/a /b /default /kube-system"},
		{"Secrets", namesOf(r.ListSecrets(ctx, "")), "a/token b/token kube-system/token"},
		{"Secrets of a", namesOf(r.ListSecrets(ctx, "a")), "a/token"},
		{"Pods", namesOf(r.ListPods(ctx, "")), "a/web b/web kube-system/web"},
	} {
		if tt.got != tt.want {
			t.Errorf("the %s are %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	one, other := must(r.GetServiceAccount(ctx, "a", "default")), must(r.GetServiceAccount(ctx, "a", "default"))
	if one.ResourceVersion != other.ResourceVersion || one.ManagedFields != nil {
		t.Errorf("got %v and %v", one, other)
	}
}

// The cache has the ClusterTrustBundles of the API server's signer, one of the caller's has all,
// and both follow the API server.
func TestReaderOfTrustBundles(t *testing.T) {
	w := started(t, func(c *fake.Cluster) {
		bundle := func(name, signer string) {
			must(c.CreateClusterTrustBundle(t.Context(), &certificatesv1.ClusterTrustBundle{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: string(trustAnchors())},
			}))
		}
		bundle("kubernetes.io:kube-apiserver-serving:b", rootca.ServingSigner)
		bundle("kubernetes.io:kube-apiserver-serving:a", rootca.ServingSigner)
		bundle("example.com:mine:a", "example.com/mine")
		bundle("unsigned", "")
	})
	ctx := t.Context()
	shared := must(saruntime.New(saruntime.Config{Manager: w.manager, Cache: w.manager.GetCache()})).Reader()
	const served, all = "/kubernetes.io:kube-apiserver-serving:a /kubernetes.io:kube-apiserver-serving:b", "/example.com:mine:a "
	for _, tt := range []struct {
		what, signer, own, shared string
	}{
		{"the API server's signer", rootca.ServingSigner, served, served},
		{"another signer", "example.com/mine", "", "/example.com:mine:a"},
		{"a signer without bundles", "example.com/none", "", ""},
		{"all", "", "", all + served + " /unsigned"},
	} {
		list, err := w.runtime.Reader().ListClusterTrustBundles(ctx, tt.signer)
		if tt.signer != rootca.ServingSigner {
			if err == nil || apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "are not watched, want Config.Cache") {
				t.Errorf("the runtime's own cache answers for %s: %v, %v, want an error that says what to do", tt.what, list, err)
			}
		} else if got := namesOf(list, err); got != tt.own {
			t.Errorf("for %s the runtime's own cache has %q, want %q", tt.what, got, tt.own)
		}
		if got := namesOf(shared.ListClusterTrustBundles(ctx, tt.signer)); got != tt.shared {
			t.Errorf("for %s the manager's cache has %q, want %q", tt.what, got, tt.shared)
		}
	}
	for _, name := range []string{"example.com:mine:a", "unsigned", "kubernetes.io:kube-apiserver-serving:a"} {
		got, err := w.runtime.Reader().GetClusterTrustBundle(ctx, name)
		if watched := strings.HasPrefix(name, "kubernetes.io:"); watched && (err != nil || got.Name != name) || !watched && (err == nil || apierrors.IsNotFound(err)) {
			t.Errorf("the runtime's own cache answers for %s: %v, %v", name, got, err)
		}
		if got, err := shared.GetClusterTrustBundle(ctx, name); err != nil || got.Name != name {
			t.Errorf("the manager's cache answers for %s: %v, %v", name, got, err)
		}
	}
	_, err := w.runtime.Reader().GetClusterTrustBundle(ctx, "kubernetes.io:kube-apiserver-serving:gone")
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "clustertrustbundles.certificates.k8s.io") {
		t.Errorf("one that isn't there: %v, want NotFound", err)
	}
	one, other := must(w.runtime.Reader().ListClusterTrustBundles(ctx, rootca.ServingSigner)), must(w.runtime.Reader().ListClusterTrustBundles(ctx, rootca.ServingSigner))
	if one[0] == other[0] {
		t.Error("two lists share their elements, so a caller's change would reach the other")
	}
	if err := w.cluster.DeleteClusterTrustBundle(ctx, one[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if got := namesOf(w.runtime.Reader().ListClusterTrustBundles(ctx, rootca.ServingSigner)); got != "/"+one[1].Name {
			return "after a delete the cache has " + got
		}
		return ""
	})
}

func namesOf[T any, P interface {
	*T
	metav1.Object
}](list []*T, err error) string {
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, o := range list {
		names = append(names, P(o).GetNamespace()+"/"+P(o).GetName())
	}
	return strings.Join(names, " ")
}

// The webhook is on the manager's server, under a path of its own, and the readiness
// check waits for the cache.
func TestPodWebhook(t *testing.T) {
	mux := http.NewServeMux()
	checks := map[string]healthz.Checker{}
	w := newWorld(t, func(o *ctrl.Options) {
		o.WebhookServer = webhook.NewServer(webhook.Options{Port: -1, WebhookMux: mux})
	})
	w.manager = readiness{w.manager, checks}
	sa := must(saruntime.New(saruntime.Config{Manager: w.manager}))
	plugin := must(admission.New(sa.Admission()))
	for _, opts := range []saruntime.WebhookOptions{{}, {Webhook: podwebhook.Config{ValidateOnly: true}}, {Path: "/pods"}} {
		if err := sa.AddPodWebhook(plugin, opts); err != nil {
			t.Fatal(err)
		}
	}
	if err := sa.AddPodWebhook(plugin, saruntime.WebhookOptions{Path: "/pods"}); err == nil {
		t.Error("a second webhook on one path")
	}
	for _, path := range []string{saruntime.MutatePath, saruntime.ValidatePath, "/pods"} {
		r := must(http.NewRequest(http.MethodPost, path, nil))
		if _, pattern := mux.Handler(r); pattern != path {
			t.Errorf("nothing is served on %s", path)
		}
		check := checks["webhook"+path]
		if check == nil {
			t.Fatalf("there is no check for %s", path)
		}
		if err := check(r); err == nil || !strings.Contains(err.Error(), "cache") {
			t.Errorf("the check before the start: %v, want an error on the cache", err)
		}
	}
	w.start(t)
	eventually(t, func() string {
		if err := checks["webhook/pods"](must(http.NewRequest(http.MethodGet, "/readyz", nil))); err != nil {
			return err.Error()
		}
		return ""
	})
	// The account is looked up live if the cache doesn't have it yet.
	must(w.cluster.CreateNamespace(t.Context(), namespace("a")))
	must(w.cluster.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "default"}}))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}
	if err := plugin.Admit(t.Context(), admission.Request{Operation: admissionv1.Create, Namespace: "a", Name: "web", Pod: pod}); err != nil || pod.Spec.ServiceAccountName != "default" {
		t.Errorf("Admit() = %v, the pod has the account %q", err, pod.Spec.ServiceAccountName)
	}
	var _ *serviceaccount.CoreV1 = sa.Client()
}

// readiness is a manager that keeps its readiness checks.
type readiness struct {
	ctrl.Manager
	checks map[string]healthz.Checker
}

func (m readiness) AddReadyzCheck(name string, check healthz.Checker) error {
	m.checks[name] = check
	return m.Manager.AddReadyzCheck(name, check)
}
