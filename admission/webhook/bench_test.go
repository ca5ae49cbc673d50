package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/admission"
)

func BenchmarkHandler(b *testing.B) {
	for _, containers := range []int{1, 10} {
		b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) {
			h := handlerOf(b, have(account("default", pulls("registry"))), func(c *admission.Config) { c.NewName = nil })
			body := bigReview(b, containers)
			if !respond(b, h, body).Allowed {
				b.Fatal("refused")
			}
			r := httptest.NewRequest(http.MethodPost, "/admit?timeout=10s", nil)
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = int64(len(body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(body))
				w := &discard{header: http.Header{}}
				h.ServeHTTP(w, r)
				if w.status >= 300 {
					b.Fatalf("got HTTP %d", w.status)
				}
			}
		})
	}
}

// discard is a ResponseWriter that keeps only the status.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
