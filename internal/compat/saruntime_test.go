package compat

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	crwebhookserver "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/fake"
	fakecontrollerruntime "github.com/kubesa/serviceaccount/fake/clientgo/controllerruntime"
	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// A program on controller-runtime has the behaviour of the controllers, with its fake
// client and on a real API server.
func TestControllerRuntime(t *testing.T) {
	log.SetLogger(logr.Discard())
	t.Run("client/fake", func(t *testing.T) {
		authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
		c := must(fakecontrollerruntime.NewClient(clientfake.NewClientBuilder().Build(), fakecontrollerruntime.Config{Authority: authority}))
		live := must(saruntime.NewClient(c))
		controllers := controllersOf(live, live, authority.Issuer)
		runStories(t, c, func(ctx context.Context) error { return authority.Cluster.Settle(ctx, controllers...) })
		clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return live })
	})
	t.Run("API server", func(t *testing.T) {
		e := startEnvtest(t)
		// Of the access, while no controller changes anything.
		t.Run("promises of the client", func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return e.live })
		})
		t.Run("promises of the reader", func(t *testing.T) {
			mgr := must(ctrl.NewManager(e.api, ctrl.Options{Metrics: metricsserver.Options{BindAddress: "0"}}))
			sa := must(saruntime.New(saruntime.Config{Manager: mgr, Cache: mgr.GetCache()}))
			runManager(t, mgr)
			clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return followedReader{sa.Client(), sa.Reader()} })
		})
		e.startProgram(t)
		runStories(t, e.direct, func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil })
		t.Run("trust bundle", e.checkTrustBundle)
		t.Run("webhook", e.checkWebhook)
		t.Run("metrics", e.checkMetrics)
	})
	t.Run("saenvtest", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-count=1", "./saenvtest")
		cmd.Dir = "../../controllerruntime"
		cmd.Env = append(os.Environ(), "KUBEBUILDER_ASSETS="+programs(t), "KUBEBUILDER_CONTROLPLANE_START_TIMEOUT="+envtestPatience.String())
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "SKIP") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// envtestPatience is how long an API server may take to start beside other tests.
const envtestPatience = 3 * time.Minute

// programs returns the folder of etcd and kube-apiserver.
func programs(t *testing.T) string {
	t.Helper()
	return must(controlplane.Programs(t.Context(), os.Stderr))
}

// controllersOf returns what a cluster runs for ServiceAccounts.
func controllersOf(reader interface {
	sacontroller.ServiceAccountsReader
	sacontroller.TokensReader
	rootca.ConfigMapsReader
}, live *serviceaccount.CoreV1, issuer sacontroller.LegacyIssuer) []sacontroller.Controller {
	return []sacontroller.Controller{
		must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: live})),
		must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: live, Issuer: issuer, RootCA: []byte(eventsRootCA)})),
		must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: reader, Client: live, RootCA: []byte(eventsRootCA)})),
	}
}

// An envtestProgram is a program with all of saruntime, on envtest's API server, which
// admits no pods itself.
type envtestProgram struct {
	*envtest.Environment
	api    *rest.Config
	direct client.Client
	live   *serviceaccount.CoreV1
}

func startEnvtest(t *testing.T) *envtestProgram {
	t.Helper()
	t.Setenv("KUBEBUILDER_ASSETS", programs(t))
	fail, none, path := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, strings.TrimPrefix(saruntime.MutatePath, "/")
	env := &envtest.Environment{ControlPlaneStartTimeout: envtestPatience, WebhookInstallOptions: envtest.WebhookInstallOptions{
		MutatingWebhooks: []*admissionregistrationv1.MutatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "pods"},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "pods.example.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
				ClientConfig:      admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Path: &path}},
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "default"}},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}},
			}},
		}},
	}}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	api, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	direct := must(client.New(api, client.Options{}))
	return &envtestProgram{env, api, direct, must(saruntime.NewClient(direct))}
}

// startProgram runs the controllers and the webhook.
func (e *envtestProgram) startProgram(t *testing.T) {
	t.Helper()
	skip := true
	install := e.WebhookInstallOptions
	mgr := must(ctrl.NewManager(e.api, ctrl.Options{
		Metrics:        metricsserver.Options{BindAddress: "0"},
		Controller:     config.Controller{SkipNameValidation: &skip},
		LeaderElection: true, LeaderElectionID: "saruntime", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		WebhookServer: crwebhookserver.NewServer(crwebhookserver.Options{
			Host: install.LocalServingHost, Port: install.LocalServingPort, CertDir: install.LocalServingCertDir,
		}),
	}))
	sa := must(saruntime.New(saruntime.Config{Manager: mgr}))
	key := must(keys.ParsePrivateKey(must(os.ReadFile(filepath.Join(e.ControlPlane.APIServer.CertDir, "sa-signer.key")))))
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://issuer.example", Signer: must(keys.NewSigner(key))}))
	anchors := must(rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: sa.Reader(), Client: sa.Certificates(), RootCA: e.api.CAData}))
	for _, c := range append(controllersOf(sa.Reader(), sa.Client(), issuer), anchors) {
		if err := sa.Add(c, saruntime.Options{Controller: saruntime.ControllerOptions{MaxConcurrentReconciles: 3}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sa.AddPodWebhook(must(admission.New(sa.Admission())), saruntime.WebhookOptions{}); err != nil {
		t.Fatal(err)
	}
	runManager(t, mgr)
	started := mgr.GetWebhookServer().StartedChecker()
	eventually(t, func() error { return started(&http.Request{}) })
}

// runManager runs mgr until the test ends.
func runManager(t *testing.T, mgr ctrl.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// checkWebhook creates pods, which the webhook has to admit: the API server's plugin
// is off (ADM-12, ADM-50).
func (e *envtestProgram) checkWebhook(t *testing.T) {
	eventually(t, func() error { _, err := e.live.GetServiceAccount(t.Context(), "default", "default"); return err })
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
	}
	ghost := pod.DeepCopy()
	ghost.Name, ghost.Spec.ServiceAccountName = "ghost", "ghost"
	if err := e.direct.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != "default" || len(pod.Spec.Volumes) != 1 || len(pod.Spec.Containers[0].VolumeMounts) != 1 {
		t.Errorf("the pod has the account %q and the volumes %v", pod.Spec.ServiceAccountName, pod.Spec.Volumes)
	}
	if err := e.direct.Create(t.Context(), ghost); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("a pod without an account: %v, want Forbidden", err)
	}
}

// checkTrustBundle deletes the ClusterTrustBundle, which comes back (CTB-10).
func (e *envtestProgram) checkTrustBundle(t *testing.T) {
	bundles := must(saruntime.NewCertificatesClient(e.direct))
	published := func() (name string) {
		eventually(t, func() error {
			list, err := bundles.ListClusterTrustBundles(t.Context(), rootca.ServingSigner)
			if err != nil || len(list) != 1 {
				return fmt.Errorf("%d ClusterTrustBundles, %v", len(list), err)
			}
			name = list[0].Name
			return nil
		})
		return name
	}
	if err := bundles.DeleteClusterTrustBundle(t.Context(), published(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	published()
}

// checkMetrics reads metrics with tokens of accounts, as RBAC allows.
func (e *envtestProgram) checkMetrics(t *testing.T) {
	ctx := t.Context()
	filter := must(saruntime.MetricsFilter("metrics.example.com")(e.api, must(rest.HTTPClientFor(e.api))))
	handler := must(filter(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "prometheus"}}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"},
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "metrics"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "prometheus"}},
	}
	get := func(audience string) int {
		request := &authenticationv1.TokenRequest{}
		if audience != "" {
			request.Spec.Audiences = []string{audience}
		}
		if err := e.direct.SubResource("token").Create(ctx, account, request); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", "Bearer "+request.Status.Token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	create := func(o client.Object) {
		if err := e.direct.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	create(account)
	if got := get("metrics.example.com"); got != http.StatusForbidden {
		t.Errorf("without a role: HTTP %d, want 403", got)
	}
	create(role)
	create(binding)
	eventually(t, func() error {
		if got := get("metrics.example.com"); got != http.StatusOK {
			return fmt.Errorf("with a role: HTTP %d, want 200", got)
		}
		return nil
	})
	if got := get(""); got != http.StatusUnauthorized {
		t.Errorf("with a token of the API server's audience: HTTP %d, want 401", got)
	}
}
