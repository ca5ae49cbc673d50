package manager

import (
	"net/http/httptest"
	"testing"

	clientset "k8s.io/client-go/kubernetes/fake"
)

// Each path of HealthHandler answers as a program asks that restarts processes: a Manager
// that hasn't begun is healthy, and not ready; one that has ended is neither.
func TestHealthHandler(t *testing.T) {
	m, err := New(Config{Client: clientset.NewClientset()})
	if err != nil {
		t.Fatal(err)
	}
	for _, ended := range []bool{false, true} {
		if ended {
			m.end()
		}
		for path, healthy := range map[string]bool{"/healthz": !ended, "/livez": !ended, "/readyz": false} {
			w := httptest.NewRecorder()
			m.HealthHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if got := w.Code; got != map[bool]int{true: 200, false: 503}[healthy] || healthy != (w.Body.String() == "ok\n") || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("ended: %v, GET %s = %d %q %v", ended, path, got, w.Body, w.Header())
			}
		}
	}
}
