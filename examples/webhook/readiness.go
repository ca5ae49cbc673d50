package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A readiness knows whether the API server can be asked: the webhook denies pods while it
// can't, and another replica may be able to.
type readiness struct {
	accounts *api
	log      *slog.Logger
	every    time.Duration // askEvery

	mu      sync.Mutex // held while the API server is asked
	asked   time.Time
	problem error
}

// One question every second is enough for any number of probes, and the answer must come
// before those of the kubelet give up.
const (
	askEvery   = time.Second
	askTimeout = 2 * time.Second
)

// check returns why the API server can't be asked, nil if it can. That there is no such
// account is an answer; that the webhook may not read it is a problem.
func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked.IsZero() && time.Since(r.asked) < r.every {
		return r.problem
	}
	// The answer is for others too, so it mustn't end with this probe.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	_, err := r.accounts.GetServiceAccount(ctx, "kube-system", "default")
	if apierrors.IsNotFound(err) {
		err = nil
	}
	switch {
	case err != nil && r.problem == nil:
		r.log.Error("not ready: the API server can't be asked", "err", err)
	case err == nil && r.problem != nil:
		r.log.Info("ready again: the API server answers")
	}
	r.asked, r.problem = time.Now(), err
	return err
}

// serveReady answers /readyz.
func (w *server) serveReady(rw http.ResponseWriter, r *http.Request) {
	switch {
	case w.stopping.Load():
		http.Error(rw, "shutting down", http.StatusServiceUnavailable)
	case w.readiness.check(r.Context()) != nil:
		http.Error(rw, "the API server can't be asked for accounts; the log says why", http.StatusServiceUnavailable)
	default:
		_, _ = rw.Write([]byte("ok\n"))
	}
}
