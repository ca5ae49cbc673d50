// Command serviceaccount-manager runs the ServiceAccount controllers of Kubernetes
// for a cluster that has no kube-controller-manager, or one whose
// kube-controller-manager doesn't run them. README.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status: 2 for a mistake in args.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "serviceaccount-manager:", err)
		return 2
	}
	if opts.version {
		fmt.Fprintln(stdout, version())
		return 0
	}
	log := opts.logger(stderr)
	klog.SetLogger(logr.FromSlogHandler(log.Handler()))
	err = serve(ctx, opts, log)
	if usage := usageOf(err); usage != "" {
		fmt.Fprintln(stderr, "serviceaccount-manager:", usage)
		return 2
	}
	if err != nil {
		log.Error("Stopped", "error", err)
		return 1
	}
	return 0
}

// serve runs the controllers and the HTTP server until ctx is done or one of them
// fails.
func serve(ctx context.Context, opts *options, log *slog.Logger) error {
	config, err := clientConfig(opts)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	md, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	cfg := manager.Config{Client: client, Metadata: md, Metrics: registry, Logger: log}
	if opts.leaderElect {
		cfg.LeaderElection = opts.election(identity())
	}
	m, err := manager.New(cfg)
	if err != nil {
		return err
	}
	guarded := rest.CopyConfig(config)
	guarded.Wrap(manager.Guard)
	newClient := func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(guarded) }
	setup, err := newSetup(ctx, opts, m, newClient, config.CAData, log)
	if err != nil {
		return err
	}
	registry.MustRegister(setup.cleanups)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var others sync.WaitGroup
	defer others.Wait()
	if opts.httpAddress != "" {
		listener, err := net.Listen("tcp", opts.httpAddress)
		if err != nil {
			return err
		}
		others.Go(func() { cancel(serveHTTP(ctx, listener, m, registry)) })
	}
	if opts.rootCAFile != "" {
		others.Go(func() { setup.followRootCA(ctx, opts.rootCAFile) })
	}
	others.Go(func() { returnMemory(ctx) })
	err = m.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	return err
}

// clientConfig returns how to reach the API server, with the CA data in memory.
func clientConfig(opts *options) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags(opts.master, opts.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = float32(opts.qps), opts.burst
	config.UserAgent = rest.DefaultKubernetesUserAgent()
	return config, rest.LoadTLSFiles(config)
}

// When memory is given back to the system: soon after the start, and then seldom. The
// garbage of the start is as large as the caches, and a process at rest makes so little
// more that by itself Go would keep the memory for good.
const (
	firstReturn  = 30 * time.Second
	returnPeriod = 10 * time.Minute
)

// returnMemory gives memory that isn't used back to the system, until ctx is done.
func returnMemory(ctx context.Context) {
	for pause := firstReturn; ; pause = returnPeriod {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		debug.FreeOSMemory()
	}
}

// identity tells this process from every other.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "_" + string(uuid.NewUUID())
}

// serveHTTP answers /metrics, /healthz, /livez and /readyz until ctx is done.
func serveHTTP(ctx context.Context, listener net.Listener, m *manager.Manager, registry *prometheus.Registry) error {
	mux := http.NewServeMux()
	mux.Handle("/", m.HealthHandler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
