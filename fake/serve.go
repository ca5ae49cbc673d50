package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
)

// Do answers a call that is about no stored object with do, or as a fault wants it,
// and records it in [Cluster.Actions]. It is for servers that are built on a Cluster:
// an [Authority] answers TokenRequests and TokenReviews with it. What do calls with
// its context has the Actor "kube-apiserver", and is as stale as a fault makes op.
//
// The Actor of op is that of ctx. The error is that of a fault, of do, ctx's, or says
// that the API has no such call.
func (c *Cluster) Do(ctx context.Context, op fault.Op, do func(ctx context.Context) error) error {
	return c.api().Do(ctx, op, do)
}

// serveHTTP answers r, which is op, with handler, or as a fault wants it.
func (c *Cluster) serveHTTP(w http.ResponseWriter, r *http.Request, op fault.Op, handler http.Handler) {
	held := &heldResponse{header: http.Header{}, status: http.StatusOK}
	err := c.Do(r.Context(), op, func(ctx context.Context) error {
		handler.ServeHTTP(held, r.WithContext(ctx))
		return nil
	})
	if err != nil {
		held = failedResponse(err)
	}
	for name, values := range held.header {
		w.Header()[name] = values
	}
	w.WriteHeader(held.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(held.body.Bytes()) // the client may have gone
	}
}

// heldResponse is a response that may yet get lost.
type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header            { return h.header }
func (h *heldResponse) WriteHeader(status int)         { h.status = status }
func (h *heldResponse) Write(data []byte) (int, error) { return h.body.Write(data) }

// failedResponse is the response of an API server that has an error.
func failedResponse(err error) *heldResponse {
	status := apierrors.NewInternalError(err).Status()
	if e, ok := errors.AsType[*apierrors.StatusError](err); ok {
		status = e.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	code := int(status.Code)
	if code < http.StatusBadRequest || code > 599 {
		code = http.StatusInternalServerError
	}
	held := &heldResponse{header: http.Header{"Content-Type": {"application/json"}}, status: code}
	if err := json.NewEncoder(&held.body).Encode(status); err != nil {
		held.status = http.StatusInternalServerError
	}
	return held
}
