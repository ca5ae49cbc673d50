package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/fake/apiserver"
	apipaths "github.com/kubesa/serviceaccount/fake/apiserver/internal/api"
)

// goneAtOnce is a client that leaves as soon as a stream has begun.
type goneAtOnce struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (w goneAtOnce) Flush() { w.leave() }

// Whatever comes gets an answer: never a panic, never an answer without a
// status, and every refusal is a Status, or a text of the issuer's discovery or
// of a path outside the API.
func FuzzAPIHandler(f *testing.F) {
	for _, seed := range [][]string{
		{"GET", "/api/v1/namespaces/ci/secrets", "watch=true&resourceVersion=1&timeoutSeconds=1", "application/json;as=Table;v=v1;g=meta.k8s.io", "", ""},
		{"GET", "/api/v1/pods", "limit=1&continue=x&labelSelector=a%3Db&fieldSelector=status.phase%3Dx", "*/*", "", ""},
		{"GET", "/openapi/v3/api/v1", "timeout=32s", "", "", ""},
		{"POST", "/api/v1/namespaces/ci/secrets", "fieldValidation=Strict&dryRun=All", "", "application/json", guideSecret},
		{"POST", "/api/v1/namespaces/ci/pods", "fieldValidation=Warn", "", "application/json", newPod},
		{"POST", "/api/v1/namespaces/ci/serviceaccounts/builder/token", "", "", "", `{"spec": {"audiences": ["a"], "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "password"}}}`},
		{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", "", "", "", `{"spec": {"token": "x"}}`},
		{"POST", "/api/v1/namespaces", "", "", "application/vnd.kubernetes.protobuf", envelope("v1", "Namespace", []byte{0x0a, 0x03, 0x0a, 0x01, 'x'})},
		{"POST", "/api/v1/namespaces", "", "", "", `{"metadata": {"name": "x", "resourceVersion": "1"}}`},
		{"PUT", "/api/v1/namespaces/ci/pods/web/status", "", "", "", `{"metadata": {"name": "web"}, "status": {"startTime": "2026-01-01T00:00:00Z"}}`},
		{"PUT", "/api/v1/namespaces/ci/finalize", "", "", "", `{"metadata": {"name": "ci"}}`},
		{"PATCH", "/api/v1/namespaces/ci/pods/web/ephemeralcontainers", "", "", "application/strategic-merge-patch+json", `{"spec": {"ephemeralContainers": [{"name": "a", "$patch": "replace"}], "$setElementOrder/ephemeralContainers": [{"name": "a"}]}, "$retainKeys": ["spec"]}`},
		{"PATCH", "/api/v1/namespaces/ci/secrets/password", "", "", "application/json-patch+json", `[{"op": "copy", "from": "/data", "path": "/metadata/annotations"}, {"op": "test", "path": "/data/value", "value": null}]`},
		{"PATCH", "/api/v1/namespaces/ci/secrets/password", "force=0", "", "application/merge-patch+json", `{"data": null, "immutable": true}`},
		{"DELETE", "/api/v1/namespaces/ci/secrets", "labelSelector=!a", "", "", `{"kind": "DeleteOptions", "preconditions": {"uid": "x"}, "gracePeriodSeconds": -1}`},
		{"GET", "0", "", "", "", ""},
		{"DELETE", "/api/v1/namespaces/ci", "propagationPolicy=Foreground&uid=x", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], []byte(seed[5]))
	}
	admit := func(_ context.Context, op apiserver.PodOperation) error {
		_ = op.Pod.Spec
		return nil
	}
	f.Fuzz(func(t *testing.T, method, path, query, accept, contentType string, body []byte) {
		a := newAPI(t, apiserver.Config{AdmitPod: admit})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "localhost",
			Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		w := goneAtOnce{httptest.NewRecorder(), cancel}
		a.ServeHTTP(w, r.WithContext(ctx))
		if out := a.outcome(); out.Panic != nil || out.HTTPStatus != w.Code {
			t.Fatalf("got %d, and the observer was told %+v", w.Code, out)
		}
		switch answer := w.Body.Bytes(); {
		case bytes.Contains(answer, []byte("resourceVersion should not be set on objects to be created")): // an API server's 500, without a reason
		case w.Code >= 500 && w.Code != http.StatusGatewayTimeout:
			t.Fatalf("got %d %s", w.Code, answer)
		case w.Code < 400 || strings.HasPrefix(path, "/.well-known/") || strings.HasPrefix(path, "/openid/"):
		case w.Code == http.StatusNotFound && !apipaths.Has(strings.TrimSuffix(path, "/")):
			if string(answer) != "404 page not found\n" {
				t.Fatalf("got %s for a path outside the API", answer)
			}
		default:
			var status struct{ Kind, Reason, Message string }
			if err := json.Unmarshal(answer, &status); err != nil || status.Kind != "Status" || status.Reason == "" || status.Message == "" {
				t.Fatalf("got %d %s (%v), want a Status", w.Code, answer, err)
			}
		}
		if open := a.cluster.OpenWatches(); open != 0 {
			t.Fatalf("%d watches are open", open)
		}
	})
}
