package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// A server serves /admit, the probes /livez and /readyz, and /metrics, all over TLS.
type server struct {
	log         *slog.Logger
	certificate *certificate
	metrics     *metrics
	readiness   *readiness
	admit       http.Handler
	drain       time.Duration
	stopping    atomic.Bool
}

// newWebhook reads the certificates, so that missing files are reported at the start.
func newWebhook(o options, log *slog.Logger) (*server, error) {
	certificate, err := newCertificate(o.certFile, o.keyFile, log)
	if err != nil {
		return nil, err
	}
	accounts, err := newAPI(o.api)
	if err != nil {
		return nil, err
	}
	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts, Strict: o.strict})
	if err != nil {
		return nil, err
	}
	w := &server{log: log, certificate: certificate, metrics: new(metrics), readiness: &readiness{accounts: accounts, log: log, every: askEvery}, drain: o.drain}
	w.admit, err = webhook.New(plugin, webhook.Config{Observe: w.observe})
	return w, err
}

// observe logs and counts a request. Events hold no Secrets, and slog escapes what
// clients have written.
func (w *server) observe(ctx context.Context, e webhook.Event) {
	w.metrics.observe(e)
	level, message := slog.LevelInfo, "reviewed"
	switch {
	case e.Panic != nil:
		level, message = slog.LevelError, "panic"
	case e.Err != nil:
		level, message = slog.LevelWarn, "refused"
	}
	w.log.LogAttrs(ctx, level, message, slog.Any("", e)) // its fields, beside the message
}

func (w *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/admit", w.admit)
	mux.HandleFunc("GET /livez", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", w.serveReady)
	mux.Handle("GET /metrics", w.metrics)
	return mux
}

// shutdownTimeout is how long requests that are being answered may take at the end: a
// little more than the handler's own limit.
const shutdownTimeout = 15 * time.Second

// serve serves on l until ctx is done. Then it reports that it is not ready, keeps
// serving for the time to drain, so that no request meets a closed port, and returns
// once all requests are answered. It closes l.
func (w *server) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           w.routes(),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: w.certificate.get},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(w.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	w.stopping.Store(true)
	w.log.Info("shutting down", "drain", w.drain.String())
	select {
	case err := <-failed:
		return err
	case <-time.After(w.drain):
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
