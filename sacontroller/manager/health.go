package manager

import (
	"errors"
	"io"
	"net/http"
)

// Healthy returns nil unless the process should be restarted: Run has returned, or
// its lease has expired long ago and is still held.
func (m *Manager) Healthy() error {
	m.mu.Lock()
	stopped := m.stopped
	m.mu.Unlock()
	if stopped {
		return errors.New("manager: stopped")
	}
	if m.leader != nil {
		return m.leader.Healthy()
	}
	return nil
}

// Ready returns nil once the caches are filled, until Run returns. A Manager that
// waits for the lease is ready.
func (m *Manager) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped:
		return errors.New("manager: stopped")
	case !m.synced:
		return errors.New("manager: the caches are not filled yet")
	}
	return nil
}

// HealthHandler returns a handler that answers GET of /healthz and /livez by
// [Manager.Healthy], and of /readyz by [Manager.Ready]: with 200, or with 503 and
// the error, which holds no data of the cluster.
func (m *Manager) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", check(m.Healthy))
	mux.Handle("GET /livez", check(m.Healthy))
	mux.Handle("GET /readyz", check(m.Ready))
	return mux
}

func check(f func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := f(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, err.Error()+"\n") //nolint:errcheck // nobody to tell
			return
		}
		io.WriteString(w, "ok\n") //nolint:errcheck // nobody to tell
	})
}
