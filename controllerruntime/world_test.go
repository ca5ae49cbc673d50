package saruntime_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A world is a manager on the HTTP API of a fake cluster.
type world struct {
	authority *fake.Authority
	cluster   *fake.Cluster
	config    *rest.Config
	manager   ctrl.Manager
	runtime   *saruntime.Runtime
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newWorld(t *testing.T, options ...func(*ctrl.Options)) *world {
	t.Helper()
	log.SetLogger(quiet)
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	server := httptest.NewServer(must(apiserver.New(authority, apiserver.Config{Controllers: []sacontroller.Controller{}})))
	t.Cleanup(server.Close)
	t.Cleanup(authority.Cluster.DropWatches)
	w := &world{authority: authority, cluster: authority.Cluster, config: &rest.Config{Host: server.URL, QPS: -1}}
	skip := true
	opts := ctrl.Options{
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &skip},
		Logger:     quiet,
		// Without a server, which would need a certificate and the port 9443.
		WebhookServer: webhook.NewServer(webhook.Options{Port: -1}),
	}
	for _, option := range options {
		option(&opts)
	}
	w.manager = must(ctrl.NewManager(w.config, opts))
	w.runtime = must(saruntime.New(saruntime.Config{Manager: w.manager}))
	return w
}

// start runs the manager until the test ends.
func (w *world) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		w.cluster.DropWatches()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// eventually waits until check returns "", and fails with what it returns if it never
// does.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	var problem string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if problem = check(); problem == "" {
			return
		}
	}
	t.Fatal(problem)
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func tokenSecret(namespace, name, account string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}
