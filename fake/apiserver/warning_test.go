package apiserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// What the API server warns of comes as Warning headers, once each.
func TestAPIWarnings(t *testing.T) {
	const enforce = `{"metadata": {"name": "x", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}`
	const deprecated = `299 - "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"`
	merge, steps := "Content-Type: application/merge-patch+json", "Content-Type: application/json-patch+json"
	for _, tt := range []struct {
		name, line, body, header string
		want                     []string
	}{
		{name: "nothing to warn of", line: "POST /api/v1/namespaces/ci/serviceaccounts", body: `{"metadata": {"name": "x"}}`},
		{name: "annotation of a new account", line: "POST /api/v1/namespaces/ci/serviceaccounts", body: enforce, want: []string{deprecated}},
		{name: "dry run", line: "POST /api/v1/namespaces/ci/serviceaccounts?dryRun=All", body: enforce, want: []string{deprecated}},
		{name: "annotation that comes with an update", line: "PUT /api/v1/namespaces/ci/serviceaccounts/builder", body: strings.Replace(enforce, `"x"`, `"builder"`, 1), want: []string{deprecated}},
		{name: "annotation that comes with a patch", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", header: merge, body: strings.Replace(enforce, `"name": "x", `, "", 1), want: []string{deprecated}},
		{name: "annotation that was there", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/old", header: merge, body: `{"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "false"}}}`},

		{name: "lifetime", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"spec": {"expirationSeconds": 90000}}`,
			want: []string{`299 - "requested expiration of 90000 seconds shortened to 7200 seconds"`}}, // REQ-50

		{name: "unknown field, by default", line: "POST /api/v1/namespaces/ci/configmaps", body: `{"metadata": {"name": "x"}, "dta": {}}`, want: []string{`299 - "unknown field \"dta\""`}},
		{name: "field twice", line: "POST /api/v1/namespaces/ci/configmaps", body: `{"metadata": {"name": "x"}, "data": {"a": "1"}, "data": {"a": "2"}}`, want: []string{`299 - "duplicate field \"data\""`}},
		{name: "ignored", line: "POST /api/v1/namespaces/ci/configmaps?fieldValidation=Ignore", body: `{"metadata": {"name": "x"}, "dta": {}}`},
		{name: "update", line: "PUT /api/v1/namespaces/ci/serviceaccounts/builder", body: `{"metadata": {"name": "builder"}, "Secrets": []}`, want: []string{`299 - "unknown field \"Secrets\""`}},
		{name: "token request", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"spec": {"audience": "x"}}`, want: []string{`299 - "unknown field \"spec.audience\""`}},
		{name: "merge patch", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", header: merge, body: `{"scrts": [], "secrets": [{"nme": "x"}]}`,
			want: []string{`299 - "unknown field \"scrts\""`, `299 - "unknown field \"secrets[0].nme\""`}},
		{name: "JSON patch", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", header: steps, body: `[{"op": "add", "op": "add", "path": "/scrts", "value": []}]`,
			want: []string{`299 - "json patch duplicate field \"[0].op\""`, `299 - "unknown field \"scrts\""`}},
		{name: "options of a delete have no validation", line: "DELETE /api/v1/namespaces/ci/serviceaccounts/builder", body: `{"kind": "DeleteOptions", "apiVersion": "v1", "grace": 1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, apiserver.Config{})
			old := account("old")
			old.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
			if err := a.cluster.Load(old); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			a.ServeHTTP(w, request(tt.line, tt.body, headers...))
			if w.Code != http.StatusOK && w.Code != http.StatusCreated {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if diff := cmp.Diff(tt.want, w.Header().Values("Warning")); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// However much is wrong with a body, warnings are few.
func TestAPIWarningsAreBounded(t *testing.T) {
	a := newAPI(t, apiserver.Config{AdmitPod: func(ctx context.Context, _ apiserver.PodOperation) error {
		apiserver.Warn(ctx, strings.Repeat("é", 5000))
		apiserver.Warn(ctx, "again")
		apiserver.Warn(ctx, "again")
		apiserver.Warn(ctx, "")
		return nil
	}})
	var fields strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&fields, `, "field-%d": 1`, i)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, request("POST /api/v1/namespaces/ci/configmaps", `{"metadata": {"name": "x"}`+fields.String()+"}"))
	if size := len(strings.Join(w.Header().Values("Warning"), "")); w.Code != http.StatusCreated || size == 0 || size > 8<<10 {
		t.Errorf("got %d with %d bytes of warnings", w.Code, size)
	}
	w = httptest.NewRecorder()
	a.ServeHTTP(w, request("POST /api/v1/namespaces/ci/pods", newPod))
	if got := w.Header().Values("Warning"); len(got) != 2 || len(got[0]) > 2<<10 || got[1] != `299 - "again"` {
		t.Errorf("got %d warnings: %.300q", len(got), got)
	}
}

// Answers are indented for people.
func TestAPIPretty(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	for _, tt := range []struct {
		line, agent string
		want        bool
	}{
		{"GET /api/v1/namespaces/ci", "", false},
		{"GET /api/v1/namespaces/ci", "curl/8.0", true},
		{"GET /api/v1/namespaces/ci?pretty=false", "curl/8.0", false},
		{"GET /api/v1/namespaces/ci?pretty=true", "", true},
		{"GET /api/v1/namespaces/none?pretty=1", "", true},
		{"GET /api/v1/namespaces/ci?pretty=what", "Wget", false},
	} {
		_, body := a.do(tt.line, "", "User-Agent: "+tt.agent)
		if got := strings.HasPrefix(body, "{\n  \"kind\""); got != tt.want {
			t.Errorf("%s by %q: got %s", tt.line, tt.agent, body)
		}
	}
}

// What a client likes best is what it gets.
func TestAPINegotiatesByQuality(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	const table, metadata = "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	for accept, want := range map[string]string{
		"":                                      "Namespace",
		"*/*":                                   "Namespace",
		table:                                   "Table",
		"application/json," + table:             "Namespace",
		"application/json;q=0.5," + table:       "Table",
		table + ";q=0.1," + metadata + ";q=0.2": "PartialObjectMetadata",
		"application/yaml," + metadata + ";q=0.9":                            "PartialObjectMetadata",
		"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json": "Namespace",
	} {
		_, body := a.do("GET /api/v1/namespaces/ci", "", "Accept: "+accept)
		if !strings.Contains(body, `"kind":"`+want+`"`) {
			t.Errorf("Accept %q: got %s, want a %s", accept, body, want)
		}
	}
}

// A request ends when its time is over, with a Status that says so; one that is too
// long is shortened, and a watch goes on.
func TestAPITimeout(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	a.cluster.Inject(fault.On("get", "secrets", fault.Slow(time.Hour)))
	code, body := a.do("GET /api/v1/namespaces/ci/secrets/password?timeout=1ms", "")
	checkStatus(t, code, body, 504, "Timeout", "")
	if code, body := a.do("GET /api/v1/namespaces/ci?timeout=1000h", ""); code != http.StatusOK {
		t.Errorf("got %d %s", code, body)
	}
	if code, body := a.do("GET /api/v1/namespaces?watch=true&timeout=1ns&timeoutSeconds=1", ""); code != http.StatusOK || !strings.Contains(body, `"type":"ADDED"`) {
		t.Errorf("got %d %s", code, body)
	}
}
