package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A real API server keeps every promise that the fake is checked for, the fake
// keeps them over HTTP too, and what both answer is the same, word for word: the
// fake is only trusted for what the real one also does.
func TestPromises(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	server := httptest.NewServer(must(apiserver.New(authority, apiserver.Config{Controllers: []sacontroller.Controller{}})))
	defer server.Close()
	var theirs, ours recorder
	real, fakes := theirs.clients(t, e.server.Admin()), ours.clients(t, &rest.Config{Host: server.URL, QPS: -1})

	t.Run("API server", func(t *testing.T) {
		clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return real })
	})
	t.Run("fake", func(t *testing.T) {
		clustertest.Run(t, func(t *testing.T) clustertest.Cluster { return fakes })
	})
	for _, p := range clustertest.Promises() {
		if differently(p.Name) {
			continue
		}
		t.Run("answers", func(t *testing.T) {
			theirs.answers, ours.answers = map[string]bool{}, map[string]bool{}
			if p.Check(t.Context(), real) != nil || p.Check(t.Context(), fakes) != nil {
				return // was told above
			}
			for _, line := range slices.Sorted(maps.Keys(theirs.answers)) {
				if !ours.answers[line] {
					t.Errorf("%s: only the API server answers\n%s", p.Name, line)
				}
			}
			for _, line := range slices.Sorted(maps.Keys(ours.answers)) {
				if !theirs.answers[line] {
					t.Errorf("%s: only the fake answers\n%s", p.Name, line)
				}
			}
		})
	}
}

// differently says about which promises the answers differ: where chance decides
// who wins; in a namespace that is being deleted, which the fake's server
// finalizes at once; and about the UID in a patch, which is a Conflict for the
// fake (F04).
func differently(promise string) bool {
	return strings.Contains(promise, "concurrent") || strings.Contains(promise, "namespace that is being deleted") || promise == "a patch with another UID is rejected and changes nothing"
}

// A recorder keeps the answers of a server, without their order.
type recorder struct {
	next http.RoundTripper

	mu      sync.Mutex
	answers map[string]bool
}

func (r *recorder) clients(t *testing.T, config *rest.Config) *serviceaccount.CoreV1 {
	t.Helper()
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		r.next = next
		return r
	})
	return serviceaccount.FromCoreV1(must(kubernetes.NewForConfig(config)).CoreV1())
}

// storageError is what the API server tells about its storage when a UID is not
// the one that an update wants.
var storageError = regexp.MustCompile(`StorageError: invalid object, Code: 4, Key: /registry/[^ ]*, ResourceVersion: 0, AdditionalErrorMsg: `)

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return resp, err
	}
	line := fmt.Sprintf("%s %s: %d", req.Method, req.URL.Path, resp.StatusCode)
	// What is wrong with a patch itself, the fake says in more words.
	if req.Method != http.MethodPatch || resp.StatusCode < 400 || bytes.Contains(body, []byte(`"causes"`)) {
		line += " " + storageError.ReplaceAllString(plain(body), "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers != nil && !ofOthers(req) {
		r.answers[changing.ReplaceAllString(line, "*")] = true
	}
	return resp, nil
}

// ofOthers reports whether the answer depends on what else there is: lists of
// all namespaces, and the end of a namespace, which nothing finalizes behind the
// API server.
func ofOthers(req *http.Request) bool {
	rest := strings.TrimPrefix(req.URL.Path, "/api/v1/")
	return req.Method == http.MethodGet && !strings.Contains(rest, "/") || req.Method == http.MethodDelete && strings.HasPrefix(rest, "namespaces/") && strings.Count(rest, "/") == 1
}

// changing is what differs from run to run: generated names, UIDs, times and
// resourceVersions.
var changing = regexp.MustCompile(`(clustertest-|gen-|short-|racer-|x{58})[0-9a-z]{5}\b|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9-]{10}T[0-9:]{8}Z|\([0-9]+\)`)

// plain returns a body without what the fake doesn't have or that is long.
func plain(body []byte) string {
	var object any
	if err := json.Unmarshal(body, &object); err != nil {
		return string(body)
	}
	return string(must(json.Marshal(without(object, ""))))
}

func without(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "managedFields")
		delete(v, "resourceVersion")
		if kind := v["kind"]; kind == "Pod" || kind == "Node" || key == "items" && v["spec"] != nil {
			delete(v, "spec") // with many defaults
			delete(v, "status")
		}
		for key, value := range v {
			v[key] = without(value, key)
		}
	case []any:
		for i := range v {
			v[i] = without(v[i], key)
		}
	case string:
		return v[:min(len(v), 1000)]
	}
	return v
}
