// Command upstreammanager runs the ServiceAccounts and Tokens controllers of
// Kubernetes, and nothing else, as kube-controller-manager runs them: it is what
// serviceaccount-manager is measured against.
//
// Whatever is set in kube-controller-manager and costs or saves something is set
// here: protobuf, no compression, one informer for each resource, without managed
// fields, and a client with a rate limit of its own for the informers and for each
// controller. There is no leader election.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"
)

// resync is twice the shortest period of kube-controller-manager, which uses a
// random one up to that.
const resync = 24 * time.Hour

// options are flags of kube-controller-manager, with its defaults.
type options struct {
	master, kubeconfig         string
	qps                        float64
	burst                      int
	signingKeyFile, rootCAFile string
	tokenSyncs                 int

	httpAddress string // for /readyz
}

func main() {
	var o options
	flag.StringVar(&o.master, "master", "", "`URL` of the API server, instead of that in the kubeconfig")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that says how to reach the API server")
	flag.Float64Var(&o.qps, "kube-api-qps", 20, "requests of each client per second")
	flag.IntVar(&o.burst, "kube-api-burst", 30, "requests of each client in a burst")
	flag.StringVar(&o.signingKeyFile, "service-account-private-key-file", "", "PEM `file` with the key that signs tokens")
	flag.StringVar(&o.rootCAFile, "root-ca-file", "", "PEM `file` with the CA bundle for Secrets")
	flag.IntVar(&o.tokenSyncs, "concurrent-serviceaccount-token-syncs", 5, "workers of the token controller")
	flag.StringVar(&o.httpAddress, "http-bind-address", "127.0.0.1:10257", "`address` for /readyz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "upstreammanager:", err)
		os.Exit(1)
	}
}

// run returns when ctx is done and everything has ended.
func (o *options) run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags(o.master, o.kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.DisableCompression = true
	config.QPS, config.Burst = float32(o.qps), o.burst

	shared, err := newClient(config, "shared-informers")
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(shared, resync, informers.WithTransform(trim))
	controllers, err := o.controllers(config, factory)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer factory.Shutdown()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory.StartWithContext(ctx)
	for _, run := range controllers {
		all.Go(func() { run(ctx) })
	}
	return serveReady(ctx, o.httpAddress, factory)
}

// controllers returns what runs the two controllers.
func (o *options) controllers(config *rest.Config, factory informers.SharedInformerFactory) ([]func(context.Context), error) {
	key, err := keyutil.PrivateKeyFromFile(o.signingKeyFile)
	if err != nil {
		return nil, err
	}
	rootCA, err := os.ReadFile(o.rootCAFile)
	if err != nil {
		return nil, err
	}
	if _, err := cert.ParseCertsPEM(rootCA); err != nil {
		return nil, err
	}
	generator, err := upstreamtokens.JWTTokenGenerator(upstreamtokens.LegacyIssuer, key)
	if err != nil {
		return nil, err
	}
	client, err := newClient(config, "tokens-controller")
	if err != nil {
		return nil, err
	}
	core := factory.Core().V1()
	tokens, err := serviceaccount.NewTokensController(klog.Background(), core.ServiceAccounts(), core.Secrets(), client,
		serviceaccount.TokensControllerOptions{TokenGenerator: generator, RootCA: rootCA})
	if err != nil {
		return nil, err
	}
	if client, err = newClient(config, "service-account-controller"); err != nil {
		return nil, err
	}
	accounts, err := serviceaccount.NewServiceAccountsController(klog.Background(), core.ServiceAccounts(), core.Namespaces(), client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return nil, err
	}
	return []func(context.Context){
		func(ctx context.Context) { tokens.Run(ctx, o.tokenSyncs) },
		func(ctx context.Context) { accounts.Run(ctx, 1) },
	}, nil
}

// newClient returns a client with a rate limiter of its own.
func newClient(config *rest.Config, name string) (*kubernetes.Clientset, error) {
	return kubernetes.NewForConfig(rest.AddUserAgent(rest.CopyConfig(config), name))
}

// trim drops the managed fields of what goes into a cache.
func trim(object any) (any, error) {
	if m, err := meta.Accessor(object); err == nil && m.GetManagedFields() != nil {
		m.SetManagedFields(nil)
	}
	return object, nil
}

// serveReady answers /readyz until ctx is done: with 200 once the caches are filled.
func serveReady(ctx context.Context, address string, factory informers.SharedInformerFactory) error {
	synced := make(chan struct{})
	go func() {
		factory.WaitForCacheSyncWithContext(ctx)
		close(synced)
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-synced:
			io.WriteString(w, "ok\n") //nolint:errcheck // nobody to tell
		default:
			http.Error(w, "the caches are not filled yet", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
