package apiserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// hunter is what the Secret of the tests holds. No error may show it.
const hunter = "aHVudGVyMg=="

// api is an API server for tests: the Namespaces default and ci, and in ci the
// accounts default and builder, the Secret password, and the Pod web.
type api struct {
	http.Handler
	authority *fake.Authority
	cluster   *fake.Cluster

	mu   sync.Mutex
	last apiserver.Event
}

// outcome returns what the observer was told last.
func (a *api) outcome() apiserver.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func newAPI(t testing.TB, cfg apiserver.Config) *api {
	t.Helper()
	c := &fake.Cluster{UIDSeed: 1}
	if err := c.Load(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		&corev1.ServiceAccount{ObjectMeta: meta("ci", "builder")},
		&corev1.Secret{ObjectMeta: meta("ci", "password"), Data: map[string][]byte{"value": []byte("hunter2")}},
		goodPod("web"),
	); err != nil {
		t.Fatal(err)
	}
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: c, RootCA: []byte("ca"), MaxLifetime: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{authority: authority, cluster: c}
	if cfg.Observe == nil {
		cfg.Observe = func(_ context.Context, o apiserver.Event) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.last = o
		}
	}
	if a.Handler, err = apiserver.New(authority, cfg); err != nil {
		t.Fatal(err)
	}
	return a
}

// request makes a request of a line like "POST /path", a body, and headers of
// the form "Name: value".
func request(line, body string, headers ...string) *http.Request {
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// do sends a request and returns the code and the body of the answer.
func (a *api) do(line, body string, headers ...string) (int, string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, request(line, body, headers...))
	return w.Code, w.Body.String()
}

// ok sends a request that must succeed, and reads the answer.
func ok[T any](t *testing.T, a *api, line, body string, headers ...string) *T {
	t.Helper()
	code, answer := a.do(line, body, headers...)
	if code != http.StatusOK && code != http.StatusCreated {
		t.Fatalf("%s: got %d %s", line, code, answer)
	}
	into := new(T)
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		t.Fatalf("%s: %v in %s", line, err, answer)
	}
	return into
}

const guideSecret = `{"kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/service-account-token",
	"metadata": {"name": "mysecretname", "annotations": {"kubernetes.io/service-account.name": "builder"}}}`

// The manual token Secret of the guide, on the wire: it is filled when the
// answer to its creation arrives, its token is accepted, and it ends with it.
func TestAPIFillsTokenSecrets(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	created := ok[corev1.Secret](t, a, "POST /api/v1/namespaces/ci/secrets", guideSecret)
	if created.Kind != "Secret" || created.APIVersion != "v1" || created.Namespace != "ci" || created.UID == "" {
		t.Errorf("created %+v", created.ObjectMeta)
	}
	filled := ok[corev1.Secret](t, a, "GET /api/v1/namespaces/ci/secrets/mysecretname", "")
	token := string(filled.Data["token"])
	if token == "" || string(filled.Data["ca.crt"]) != "ca" || string(filled.Data["namespace"]) != "ci" {
		t.Fatalf("the Secret holds %d keys", len(filled.Data))
	}
	self := ok[authenticationv1.SelfSubjectReview](t, a, "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", "Authorization: Bearer "+token)
	want := authenticationv1.UserInfo{
		Username: "system:serviceaccount:ci:builder", UID: self.Status.UserInfo.UID,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"},
	}
	if diff := cmp.Diff(want, self.Status.UserInfo); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	review := ok[authenticationv1.TokenReview](t, a, "POST /apis/authentication.k8s.io/v1/tokenreviews", `{"spec": {"token": "`+token+`"}}`)
	if !review.Status.Authenticated || review.Kind != "TokenReview" {
		t.Errorf("got the review %+v", review)
	}
	a.cluster.ClearActions()
	ok[corev1.Secret](t, a, "GET /api/v1/namespaces/ci/secrets/password", "", "Authorization: Bearer "+token)
	if actions := a.cluster.Actions(); actions[len(actions)-1].Actor != want.Username || a.outcome().User != want.Username {
		t.Errorf("the request is told as one of %q", a.outcome().User)
	}
	gone := ok[metav1.Status](t, a, "DELETE /api/v1/namespaces/ci/secrets/mysecretname", `{"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}`)
	if gone.Status != metav1.StatusSuccess || gone.Details.UID != created.UID || gone.Details.Kind != "secrets" {
		t.Errorf("got %+v for the deletion", gone)
	}
	if code, body := a.do("GET /api/v1/namespaces", "", "Authorization: Bearer "+token); code != http.StatusUnauthorized {
		t.Errorf("got %d %s with the token of a Secret that is gone", code, body)
	}
}

// A token Secret whose account is deleted goes with it, before the answer.
func TestAPISettlesAfterEachWrite(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	if account := ok[corev1.ServiceAccount](t, a, "GET /api/v1/namespaces/default/serviceaccounts/default", ""); account.UID == "" {
		t.Error("the account default is not there at the first request")
	}
	ok[corev1.Namespace](t, a, "POST /api/v1/namespaces", `{"metadata": {"name": "new"}}`)
	ok[corev1.ServiceAccount](t, a, "GET /api/v1/namespaces/new/serviceaccounts/default", "")
	ok[corev1.Secret](t, a, "POST /api/v1/namespaces/ci/secrets", guideSecret)
	last := ok[corev1.ServiceAccount](t, a, "DELETE /api/v1/namespaces/ci/serviceaccounts/builder", "")
	if last.Name != "builder" {
		t.Errorf("the deletion of an account answers %+v", last)
	}
	if code, _ := a.do("GET /api/v1/namespaces/ci/secrets/mysecretname", ""); code != http.StatusNotFound {
		t.Errorf("got %d for the token Secret of an account that is gone", code)
	}
	if ns := ok[corev1.Namespace](t, a, "DELETE /api/v1/namespaces/new", ""); ns.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("a Namespace that is deleted is %s", ns.Status.Phase)
	}
	if code, _ := a.do("GET /api/v1/namespaces/new", ""); code != http.StatusNotFound {
		t.Errorf("got %d for a Namespace that was deleted", code)
	}
}

// Without controllers a token Secret stays empty; a controller that fails is
// told as a warning, because the write has happened.
func TestAPIControllers(t *testing.T) {
	a := newAPI(t, apiserver.Config{Controllers: []sacontroller.Controller{}})
	ok[corev1.Secret](t, a, "POST /api/v1/namespaces/ci/secrets", guideSecret)
	if s := ok[corev1.Secret](t, a, "GET /api/v1/namespaces/ci/secrets/mysecretname", ""); len(s.Data) != 0 {
		t.Errorf("nobody has filled the Secret, but it holds %d keys", len(s.Data))
	}

	a = newAPI(t, apiserver.Config{})
	a.cluster.Inject(fault.On("update", "secrets", errors.New("the disk is\nfull, \"quite\"")))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, request("POST /api/v1/namespaces/ci/secrets", guideSecret))
	warning := w.Header().Get("Warning")
	if w.Code != http.StatusCreated || !strings.HasPrefix(warning, `299 - "the controllers did not come to rest: `) ||
		!strings.Contains(warning, `the disk is full, \"quite\"`) || a.outcome().Settle == nil {
		t.Errorf("got %d, warning %s", w.Code, warning)
	}
}

func TestAPIReadsAndWrites(t *testing.T) {
	merge, strategic, steps := "Content-Type: application/merge-patch+json", "Content-Type: application/strategic-merge-patch+json", "Content-Type: application/json-patch+json"
	const pod = `"spec": {"containers": [{"name": "main", "image": "busybox"}]}`
	for _, tt := range []struct {
		name, line, body string
		headers          []string
		code             int
		want             string // contained in the answer
	}{
		{name: "version", line: "GET /version", code: 200, want: `"gitVersion":"v1.37`},
		{name: "ready", line: "GET /readyz", code: 200, want: "ok"},
		{name: "ready, in detail", line: "GET /readyz?verbose", code: 200, want: "[+]ping ok\nreadyz check passed\n"},
		{name: "healthy but for", line: "GET /healthz?verbose&exclude=ping", code: 200, want: "[+]ping excluded: ok\nhealthz check passed\n"},
		{name: "post to health", line: "POST /healthz", code: 200, want: "ok"},
		{name: "the paths", line: "GET /", code: 200, want: `{"paths":["/.well-known/openid-configuration","/api","/api/v1",`},
		{name: "no metadata of a list", line: "GET /api/v1/nodes", headers: []string{"Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}, code: 200, want: `"items":null`},
		{name: "a watch of lists", line: "GET /api/v1/namespaces/ci/secrets?watch=true&timeoutSeconds=1", headers: []string{"Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}, code: 200},
		{name: "a review with a UID", line: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: `{"metadata": {"name": "x", "uid": "y"}, "spec": {"token": "x"}}`, code: 201, want: `"metadata":{"name":"x"}`},
		{name: "discovery of the issuer", line: "GET /.well-known/openid-configuration", code: 200, want: `"issuer":"https://kubernetes.default.svc"`},
		{name: "keys", line: "GET /openid/v1/jwks", code: 200, want: `"kty":"EC"`},
		{name: "API versions", line: "GET /api", code: 200, want: `"versions":["v1"]`},
		{name: "groups", line: "GET /apis", code: 200, want: `"name":"authentication.k8s.io"`},
		{name: "group", line: "GET /apis/authentication.k8s.io", code: 200, want: `"kind":"APIGroup"`},
		{name: "resources", line: "GET /api/v1", code: 200, want: `{"name":"serviceaccounts/token","singularName":"","namespaced":true,"group":"authentication.k8s.io","version":"v1","kind":"TokenRequest","verbs":["create"]}`},
		{name: "resources of a group, with a slash", line: "GET /apis/authentication.k8s.io/v1/", code: 200, want: `"tokenreviews"`},
		{name: "OpenAPI index", line: "GET /openapi/v3", code: 200, want: `"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1"}`},
		{name: "OpenAPI of a group", line: "GET /openapi/v3/apis/authentication.k8s.io/v1", code: 200, want: `"paths":{}`},
		{name: "OpenAPI", line: "GET /openapi/v3/api/v1", code: 200, want: `"fieldValidation"`},

		{name: "get", line: "GET /api/v1/namespaces/ci/secrets/password", code: 200, want: `"kind":"Secret","apiVersion":"v1"`},
		{name: "get a revision that was", line: "GET /api/v1/namespaces/ci?resourceVersion=1", code: 200, want: `"phase":"Active"`},
		{name: "get status", line: "GET /api/v1/namespaces/ci/pods/web/status", code: 200, want: `"kind":"Pod"`},
		{name: "list", line: "GET /api/v1/namespaces/ci/secrets", code: 200, want: `"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"`},
		{name: "list all", line: "GET /api/v1/secrets", code: 200, want: `"name":"password"`},
		{name: "list nothing", line: "GET /api/v1/nodes", code: 200, want: `"items":[]`},
		{name: "list a page", line: "GET /api/v1/serviceaccounts?limit=1", code: 200, want: `"remainingItemCount":2`},
		{name: "list by field", line: "GET /api/v1/secrets?fieldSelector=type%3Dother", code: 200, want: `"items":[]`},
		{name: "list by label", line: "GET /api/v1/pods?labelSelector=a%3Db", code: 200, want: `"items":[]`},
		{name: "list at a revision", line: "GET /api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact", code: 200, want: `"items":[]`},
		{name: "events", line: "GET /api/v1/namespaces/ci/events?fieldSelector=involvedObject.name%3Dweb", code: 200, want: `"kind":"EventList"`},

		{name: "create", line: "POST /api/v1/namespaces/ci/configmaps?fieldManager=me&fieldValidation=Strict", body: `{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "b"}}`, code: 201, want: `"data":{"a":"b"}`},
		{name: "create a node", line: "POST /api/v1/nodes", body: `{"metadata": {"name": "n1"}}`, code: 201, want: `"kind":"Node"`},
		{name: "create with a generated name", line: "POST /api/v1/namespaces/ci/pods", body: `{"metadata": {"generateName": "web-"}, ` + pod + `}`, code: 201, want: `"name":"web-`},
		{name: "create for show", line: "POST /api/v1/namespaces/ci/secrets?dryRun=All", body: guideSecret, code: 201, want: `"name":"mysecretname"`},
		{name: "unknown fields ignored", line: "POST /api/v1/namespaces/ci/secrets", body: `{"metadata": {"name": "x"}, "dta": {}}`, code: 201, want: `"name":"x"`},
		{name: "a field in another case is unknown", line: "POST /api/v1/namespaces/ci/configmaps", body: `{"metadata": {"name": "x"}, "Data": {"a": "b"}}`, code: 201, want: `"name":"x","namespace":"ci","uid":"00000000-0000-4000-8000-000000000008","resourceVersion":"8","creationTimestamp":"2026-01-01T00:00:00Z"}}`},
		{name: "update", line: "PUT /api/v1/namespaces/ci/secrets/password", body: `{"metadata": {"name": "password", "namespace": "ci"}, "type": "Opaque"}`, code: 200, want: `"type":"Opaque"`},
		{name: "update a status", line: "PUT /api/v1/namespaces/ci/pods/web/status", body: `{"metadata": {"name": "web"}, "status": {"phase": "Running"}}`, code: 200, want: `"phase":"Running"`},
		{name: "finalizers that somebody sent are theirs", line: "POST /api/v1/namespaces", body: `{"metadata": {"name": "x"}, "spec": {"finalizers": ["a.b/c"]}}`, code: 201, want: `"f:spec":{"f:finalizers":{}}}}]},"spec":{"finalizers":["a.b/c","kubernetes"]}`},
		{name: "finalizers that are no longer sent", line: "PATCH /api/v1/namespaces/ci?fieldManager=x", headers: []string{merge}, body: `{"spec": {"finalizers": null}}`, code: 200, want: `"spec":{"finalizers":["kubernetes"]}`},
		{name: "the server's finalizer is nobody's", line: "POST /api/v1/namespaces", body: `{"metadata": {"name": "x"}}`, code: 201, want: `"f:kubernetes.io/metadata.name":{}}}}}]},"spec":{"finalizers":["kubernetes"]}`},
		{name: "finalize replaces labels", line: "PUT /api/v1/namespaces/ci/finalize", body: `{"metadata": {"name": "ci", "labels": {"a": "b"}}, "spec": {"finalizers": ["kubernetes"]}}`, code: 200, want: `"labels":{"a":"b","kubernetes.io/metadata.name":"ci"}`},
		{name: "finalize", line: "PUT /api/v1/namespaces/ci/finalize", body: `{"metadata": {"name": "ci"}, "spec": {"finalizers": []}}`, code: 200, want: `"spec":{}`},
		{name: "add an ephemeral container", line: "PATCH /api/v1/namespaces/ci/pods/web/ephemeralcontainers", headers: []string{strategic}, body: `{"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}`, code: 200, want: `"name":"debug"`},
		{name: "merge patch", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", headers: []string{merge}, body: `{"metadata": {"labels": {"a": "b"}}}`, code: 200, want: `"labels":{"a":"b"}`},
		{name: "merge patch with a charset", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", headers: []string{merge + "; charset=utf-8"}, body: `{"automountServiceAccountToken": false}`, code: 200, want: `"automountServiceAccountToken":false`},
		{name: "patch with warnings", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder?fieldValidation=Warn", headers: []string{merge}, body: `{"scrts": []}`, code: 200, want: `"name":"builder"`},
		{name: "JSON patch", line: "PATCH /api/v1/namespaces/ci/serviceaccounts/builder", headers: []string{steps}, body: `[{"op": "add", "path": "/secrets", "value": [{"name": "x"}]}]`, code: 200, want: `"secrets":[{"name":"x"}]`},
		{name: "patch for show", line: "PATCH /api/v1/namespaces/ci?dryRun=All", headers: []string{merge}, body: `{"metadata": {"labels": {"a": "b"}}}`, code: 200, want: `"a":"b"`},
		{name: "delete with options in the query", line: "DELETE /api/v1/namespaces/ci/secrets/password?propagationPolicy=Background&gracePeriodSeconds=0", code: 200, want: `"status":"Success"`},
		{name: "delete with a policy", line: "DELETE /api/v1/namespaces/ci/secrets/password", body: `{"propagationPolicy": "Orphan"}`, code: 200, want: `"status":"Success"`},
		{name: "delete a pod", line: "DELETE /api/v1/namespaces/ci/pods/web", body: `{"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 0}`, code: 200, want: `"kind":"Pod"`},
		{name: "delete a collection", line: "DELETE /api/v1/namespaces/ci/secrets?labelSelector=!a", code: 200, want: `"name":"password"`},

		{name: "token", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 600}}`, code: 201, want: `"expirationTimestamp":"2026-01-01T00:10:00Z"`},
		{name: "token of an empty request", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{}`, code: 201, want: `"expirationSeconds":3600`},
		{name: "token for show", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token?dryRun=All", body: `{}`, code: 201, want: `"token":"ey`},
		{name: "review of no token of ours", line: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: `{"spec": {"token": "x"}}`, code: 201, want: `"error":"invalid bearer token"`},
		{name: "a review in a namespace", line: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: `{"metadata": {"namespace": "ci"}, "spec": {"token": "x"}}`, code: 201, want: `"metadata":{},"spec":{}`},
		{name: "a review with a name", line: "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", body: `{"metadata": {"name": "x"}}`, code: 201, want: `"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"}`},
		{name: "a node in a namespace", line: "POST /api/v1/nodes", body: `{"metadata": {"name": "n1", "namespace": "ci"}}`, code: 201, want: `"metadata":{"name":"n1","uid"`},
		{name: "a kind without a version", line: "POST /api/v1/namespaces/ci/configmaps", body: `{"kind": "ConfigMap", "metadata": {"name": "x"}}`, code: 201, want: `"name":"x"`},
		{name: "one name in one page", line: "GET /api/v1/namespaces/ci/secrets?limit=1&fieldSelector=metadata.name%3Dpassword", code: 200, want: `"metadata":{"resourceVersion":"7"}`},
		{name: "a part of health", line: "GET /livez/ping", code: 200, want: "ok"},
		{name: "head of health", line: "HEAD /healthz", code: 200},
		{name: "no initial events", line: "GET /api/v1/namespaces/ci/secrets?watch=true&timeoutSeconds=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", code: 200},
		{name: "anonymous", line: "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", body: `{}`, code: 201, want: `"username":"system:anonymous"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, apiserver.Config{})
			code, body := a.do(tt.line, tt.body, tt.headers...)
			if code != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("%s: got %d %s\nwant %d with %s", tt.line, code, body, tt.code, tt.want)
			}
			if a.outcome().HTTPStatus != code || a.outcome().Err != nil || a.outcome().Panic != nil || a.outcome().Settle != nil {
				t.Errorf("the observer was told %+v", a.outcome())
			}
		})
	}
}

// What isn't below a path of the API is answered by no API.
func TestAPIElsewhere(t *testing.T) {
	for _, line := range []string{"GET /foo", "POST /foo/bar", "GET /healthz/nothing", "GET /apis/apps", "GET /apis/apps/v1/deployments", "GET /apiary", "GET /versions"} {
		a := newAPI(t, apiserver.Config{})
		code, body := a.do(line, "", "Accept: text/html")
		if code != 404 || body != "404 page not found\n" || !apierrors.IsNotFound(a.outcome().Err) {
			t.Errorf("%s: got %d %s, and the observer %v; want 404", line, code, body, a.outcome().Err)
		}
	}
}

// Every refusal is a Status that says what it is, and no refusal shows a
// Secret.
func TestAPIRefuses(t *testing.T) {
	merge := "Content-Type: application/merge-patch+json"
	for _, tt := range []struct {
		name, line, body string
		headers          []string
		code             int32
		reason           metav1.StatusReason
		want             string // contained in the message
	}{
		{name: "no such path", line: "GET /api/v2/pods", code: 404, reason: "NotFound", want: "could not find the requested resource"},
		{name: "deprecated watch", line: "GET /api/v1/watch/namespaces/ci/secrets", code: 404, reason: "NotFound"},
		{name: "no such resource", line: "GET /api/v1/namespaces/ci/services", code: 404, reason: "NotFound"},
		{name: "no such version of a group", line: "GET /apis/authentication.k8s.io/v2/tokenreviews", code: 404, reason: "NotFound"},
		{name: "no such review", line: "POST /apis/authentication.k8s.io/v1/reviews", code: 404, reason: "NotFound"},
		{name: "no such subresource", line: "GET /api/v1/namespaces/ci/pods/web/log", code: 404, reason: "NotFound"},
		{name: "a name without a namespace", line: "GET /api/v1/secrets/password", code: 404, reason: "NotFound"},
		{name: "a node in a namespace", line: "GET /api/v1/namespaces/ci/nodes", code: 404, reason: "NotFound"},
		{name: "an empty name", line: "GET /api/v1/namespaces//secrets", code: 404, reason: "NotFound"},
		{name: "too deep", line: "GET /api/v1/namespaces/ci/pods/web/status/x", code: 404, reason: "NotFound"},
		{name: "no such object", line: "GET /api/v1/namespaces/ci/secrets/other", code: 404, reason: "NotFound", want: `secrets "other" not found`},
		{name: "no such event", line: "GET /api/v1/namespaces/ci/events/x", code: 404, reason: "NotFound"},
		{name: "no such namespace", line: "POST /api/v1/namespaces/gone/secrets", body: `{"metadata": {"name": "x"}}`, code: 404, reason: "NotFound", want: `namespaces "gone" not found`},
		{name: "update of nothing", line: "PUT /api/v1/namespaces/ci/secrets/x", body: `{"metadata": {"name": "x"}}`, code: 404, reason: "NotFound"},
		{name: "patch of nothing", line: "PATCH /api/v1/namespaces/ci/secrets/x", body: `{}`, headers: []string{merge}, code: 404, reason: "NotFound"},
		{name: "delete of nothing", line: "DELETE /api/v1/namespaces/ci/secrets/x", code: 404, reason: "NotFound"},
		{name: "token in no namespace", line: "POST /api/v1/namespaces/gone/serviceaccounts/builder/token", body: `{}`, code: 404, reason: "NotFound", want: `namespaces "gone" not found`},
		{name: "token of nobody", line: "POST /api/v1/namespaces/ci/serviceaccounts/x/token", body: `{}`, code: 404, reason: "NotFound"},

		{name: "create all over", line: "POST /api/v1/secrets", body: `{}`, code: 405, reason: "MethodNotAllowed"},
		{name: "delete all over", line: "DELETE /api/v1/secrets", code: 405, reason: "MethodNotAllowed"},
		{name: "delete all namespaces", line: "DELETE /api/v1/namespaces", code: 405, reason: "MethodNotAllowed"},
		{name: "record an event", line: "POST /api/v1/namespaces/ci/events", body: `{}`, code: 405, reason: "MethodNotAllowed"},
		{name: "head", line: "HEAD /api/v1/namespaces/ci", code: 405, reason: "MethodNotAllowed"},
		{name: "odd method", line: "BREW /api/v1/namespaces/ci", code: 405, reason: "MethodNotAllowed"},
		{name: "get a token", line: "GET /api/v1/namespaces/ci/serviceaccounts/builder/token", code: 405, reason: "MethodNotAllowed"},
		{name: "get a review", line: "GET /apis/authentication.k8s.io/v1/tokenreviews", code: 405, reason: "MethodNotAllowed"},
		{name: "post to discovery", line: "POST /api/v1", body: `{}`, code: 405, reason: "MethodNotAllowed"},
		{name: "post to the keys", line: "POST /openid/v1/jwks", code: 405, reason: "MethodNotAllowed"},

		{name: "yaml wanted", line: "GET /api/v1/secrets", headers: []string{"Accept: application/yaml"}, code: 406, reason: "NotAcceptable"},
		{name: "protobuf wanted", line: "GET /api/v1/secrets", headers: []string{"Accept: application/vnd.kubernetes.protobuf"}, code: 406, reason: "NotAcceptable"},
		{name: "no JSON wanted", line: "GET /api/v1/secrets", headers: []string{"Accept: application/json;q=0"}, code: 406, reason: "NotAcceptable"},
		{name: "metadata of a list of one object", line: "GET /api/v1/namespaces/ci/secrets/password", headers: []string{"Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}, code: 406, reason: "NotAcceptable", want: "you requested PartialObjectMetadataList, but the requested object is not a list (*core.Secret)"},
		{name: "metadata of an object of a list", line: "GET /api/v1/secrets", headers: []string{"Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io, */*"}, code: 406, reason: "NotAcceptable", want: "you requested PartialObjectMetadata, but the requested object is a list (*core.SecretList)"},
		{name: "an old table wanted", line: "GET /api/v1/secrets", headers: []string{"Accept: application/json;as=Table;v=v1beta1;g=meta.k8s.io"}, code: 406, reason: "NotAcceptable"},

		{name: "a collection of other objects", line: "DELETE /api/v1/namespaces/ci/secrets", body: `{"preconditions": {"uid": "other"}}`, code: 409, reason: "Conflict"},
		{name: "there already", line: "POST /api/v1/namespaces/ci/secrets", body: `{"metadata": {"name": "password"}}`, code: 409, reason: "AlreadyExists"},
		{name: "changed since", line: "PUT /api/v1/namespaces/ci/secrets/password", body: `{"metadata": {"name": "password", "resourceVersion": "1"}, "type": "Opaque"}`, code: 409, reason: "Conflict"},
		{name: "another object", line: "DELETE /api/v1/namespaces/ci/secrets/password", body: `{"preconditions": {"uid": "other"}}`, code: 409, reason: "Conflict"},
		{name: "patch of another object", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{"metadata": {"uid": "other"}}`, headers: []string{merge}, code: 422, reason: "Invalid", want: `metadata.uid: Invalid value: "other": field is immutable`},
		{name: "a name that is a path", line: "GET /api/v1/namespaces/ci/secrets/%2e%2e", code: 400, reason: "BadRequest", want: `Name parameter invalid: "..": may not be '..'`},
		{name: "a name with a percent sign", line: "DELETE /api/v1/namespaces/ci/secrets/a%25b", code: 400, reason: "BadRequest", want: `may not contain '%'`},
		{name: "a finalizer that is none", line: "POST /api/v1/namespaces", body: `{"metadata": {"name": "x"}, "spec": {"finalizers": ["mine"]}}`, code: 422, reason: "Invalid", want: `spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name`},
		{name: "finalize with one that is none", line: "PUT /api/v1/namespaces/ci/finalize", body: `{"metadata": {"name": "ci"}, "spec": {"finalizers": ["kubernetes", "mine"]}}`, code: 422, reason: "Invalid", want: `spec.finalizers[1]: Invalid value: "mine"`},
		{name: "another object in the query", line: "DELETE /api/v1/namespaces/ci/secrets/password?resourceVersion=1", code: 409, reason: "Conflict"},
		{name: "token of another account", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"metadata": {"uid": "other"}}`, code: 409, reason: "Conflict"},

		{name: "too old", line: "GET /api/v1/secrets?resourceVersion=1&resourceVersionMatch=Exact", code: 410, reason: "Expired"},

		{name: "encoded", line: "POST /api/v1/namespaces", body: `{}`, headers: []string{"Content-Encoding: gzip"}, code: 415, reason: "UnsupportedMediaType"},
		{name: "yaml", line: "POST /api/v1/namespaces", body: `{}`, headers: []string{"Content-Type: application/yaml"}, code: 415, reason: "UnsupportedMediaType"},
		{name: "odd content type", line: "POST /api/v1/namespaces", body: `{}`, headers: []string{"Content-Type: ;"}, code: 415, reason: "UnsupportedMediaType"},
		{name: "apply of no object of its kind", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me&force=true", body: `a: hunter2`, headers: []string{apply}, code: 400, reason: "BadRequest", want: "invalid object type"},
		{name: "apply of another type", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me", body: `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "data": "hunter2"}`, headers: []string{apply}, code: 500, want: "a field is of another type"},
		{name: "apply of other types", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me", body: `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "data": {"value": ["hunter2"]}}`, headers: []string{apply}, code: 500, want: "a field is of another type"},
		{name: "apply of an unknown field", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me", body: `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "dta": "hunter2"}`, headers: []string{apply}, code: 500, want: ".dta: field not declared in schema"},
		{name: "apply without a manager", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{}`, headers: []string{apply}, code: 422, reason: "Invalid", want: "fieldManager"},
		{name: "apply twice", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me&fieldValidation=Strict", body: `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "type": "a", "type": "Opaque"}`, headers: []string{apply}, code: 400, reason: "BadRequest", want: "\"type\" already set"},
		{name: "apply in CBOR", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldManager=me", body: `{}`, headers: []string{"Content-Type: application/apply-patch+cbor"}, code: 415, reason: "UnsupportedMediaType"},
		{name: "apply to a collection", line: "PATCH /api/v1/namespaces/ci/secrets?fieldManager=me", body: `{}`, headers: []string{apply}, code: 405, reason: "MethodNotAllowed"},
		{name: "patch without a type", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{}`, code: 415, reason: "UnsupportedMediaType"},
		{name: "options in yaml", line: "DELETE /api/v1/namespaces/ci/secrets/password", body: `a: b`, headers: []string{"Content-Type: application/yaml"}, code: 415, reason: "UnsupportedMediaType"},

		{name: "no account named", line: "POST /api/v1/namespaces/ci/secrets", body: `{"metadata": {"name": "x"}, "type": "kubernetes.io/service-account-token"}`, code: 422, reason: "Invalid", want: "kubernetes.io/service-account.name"}, // ADM-232
		{name: "bad name", line: "POST /api/v1/namespaces", body: `{"metadata": {"name": "A_B"}}`, code: 422, reason: "Invalid", want: "metadata.name"},
		{name: "another type", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{"type": "other"}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "field is immutable"},
		{name: "a patch that doesn't fit", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `[{"op": "remove", "path": "/data/x"}]`, headers: []string{"Content-Type: application/json-patch+json"}, code: 422, reason: "Invalid", want: "Unable to remove nonexistent key: x"},
		{name: "a patch that makes no Secret", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{"data": "` + hunter + `"}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "valid Secret"},
		{name: "unknown field in a merge patch", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldValidation=Strict", body: `{"dta": "` + hunter + `", "$patch": "x", "metadata": {}, "metadata": {}}`, headers: []string{merge}, code: 422, reason: "Invalid", want: `strict decoding error: duplicate field "metadata", unknown field "$patch", unknown field "dta"`},
		{name: "unknown field in a strategic merge patch", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldValidation=Strict", body: `{"metadata": {"lables": "` + hunter + `"}}`, headers: []string{"Content-Type: application/strategic-merge-patch+json"}, code: 422, reason: "Invalid", want: `strict decoding error: unknown field "metadata.lables"`},
		{name: "unknown field in a JSON patch", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldValidation=Strict", body: `[{"op": "add", "path": "/dta", "value": "` + hunter + `", "why": 1}]`, headers: []string{"Content-Type: application/json-patch+json"}, code: 422, reason: "Invalid", want: `strict decoding error: json patch unknown field "[0].why", unknown field "dta"`},
		{name: "force", line: "PATCH /api/v1/namespaces/ci/secrets/password?force=true", body: `{}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "force"},
		{name: "dry run of some kind", line: "DELETE /api/v1/namespaces/ci/secrets/password?dryRun=Some", code: 422, reason: "Invalid", want: "dryRun"},
		{name: "dry run of a token of some kind", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token?dryRun=Some", body: `{}`, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "validation of some kind", line: "POST /api/v1/namespaces?fieldValidation=Some", body: `{}`, code: 422, reason: "Invalid", want: "fieldValidation"},
		{name: "propagation of some kind", line: "DELETE /api/v1/namespaces/ci/secrets/password", body: `{"propagationPolicy": "Some"}`, code: 422, reason: "Invalid", want: "propagationPolicy"},
		{name: "propagation twice", line: "DELETE /api/v1/namespaces/ci/secrets/password?propagationPolicy=Orphan&orphanDependents=1", code: 422, reason: "Invalid", want: "cannot be both set"},
		{name: "initial events of a list", line: "GET /api/v1/secrets?sendInitialEvents=true", code: 422, reason: "Invalid", want: "sendInitialEvents"},
		{name: "initial events of any revision", line: "GET /api/v1/secrets?watch=true&sendInitialEvents=true", code: 422, reason: "Invalid", want: "resourceVersionMatch"},
		{name: "match of a watch", line: "GET /api/v1/secrets?watch=true&resourceVersionMatch=Exact", code: 422, reason: "Invalid", want: "resourceVersionMatch"},
		{name: "short token", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"spec": {"expirationSeconds": 1}}`, code: 422, reason: "Invalid", want: "expirationSeconds"},

		{name: "another namespace's token", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"metadata": {"namespace": "default"}}`, code: 400, reason: "BadRequest", want: "does not match the namespace sent on the request"}, // REQ-3
		{name: "another account's token", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"metadata": {"name": "default"}}`, code: 422, reason: "Invalid", want: "must match the service account name"},
		{name: "match without a revision", line: "GET /api/v1/secrets?resourceVersionMatch=NotOlderThan", code: 422, reason: "Invalid", want: "resourceVersionMatch is forbidden unless resourceVersion is provided"},
		{name: "match of some kind", line: "GET /api/v1/secrets?resourceVersionMatch=Some&resourceVersion=1", code: 422, reason: "Invalid", want: "Unsupported value"},
		{name: "exactly any revision", line: "GET /api/v1/secrets?resourceVersionMatch=Exact&resourceVersion=0", code: 422, reason: "Invalid", want: `forbidden for resourceVersion "0"`},
		{name: "match of a continued list", line: "GET /api/v1/secrets?resourceVersionMatch=Exact&resourceVersion=1&continue=x", code: 422, reason: "Invalid", want: "when continue is provided"},
		{name: "match of a collection that is deleted", line: "DELETE /api/v1/namespaces/ci/secrets?resourceVersionMatch=Exact", code: 422, reason: "Invalid", want: "unless resourceVersion is provided"},
		{name: "dry run of a list of kinds", line: "POST /api/v1/namespaces?dryRun=All&dryRun=Some", body: `{}`, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "dry run of an update", line: "PUT /api/v1/namespaces/ci/secrets/password?dryRun=true", body: `{"metadata": {"name": "password"}}`, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "dry run of a patch", line: "PATCH /api/v1/namespaces/ci/secrets/password?dryRun=", body: `{}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "dry run in the body", line: "DELETE /api/v1/namespaces/ci/secrets", body: `{"dryRun": ["Some"]}`, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "dry run of a review", line: "POST /apis/authentication.k8s.io/v1/tokenreviews?dryRun=Some", body: `{"spec": {"token": "x"}}`, code: 422, reason: "Invalid", want: "dryRun"},
		{name: "validation of a review", line: "POST /apis/authentication.k8s.io/v1/selfsubjectreviews?fieldValidation=Some", body: `{}`, code: 422, reason: "Invalid", want: "fieldValidation"},
		{name: "validation of a patch", line: "PATCH /api/v1/namespaces/ci/secrets/password?fieldValidation=strict", body: `{}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "fieldValidation"},
		{name: "long manager", line: "POST /api/v1/namespaces?fieldManager=" + strings.Repeat("x", 129), body: `{}`, code: 422, reason: "Invalid", want: "fieldManager"},
		{name: "manager that can't be printed", line: "PUT /api/v1/namespaces/ci/secrets/password?fieldManager=%07", body: `{}`, code: 422, reason: "Invalid", want: "fieldManager"},
		{name: "grace and ignored errors", line: "DELETE /api/v1/namespaces/ci/secrets/password?gracePeriodSeconds=1&ignoreStoreReadErrorWithClusterBreakingPotential=true", code: 422, reason: "Invalid", want: "cannot be set together"},
		{name: "unknown rows", line: "GET /api/v1/secrets?includeObject=Some", headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"}, code: 400, reason: "BadRequest", want: "Unable to convert to Table"},
		{name: "a phase that is none", line: "PUT /api/v1/namespaces/ci/status", body: `{"metadata": {"name": "ci"}, "status": {"phase": "Gone"}}`, code: 422, reason: "Invalid", want: "may only be 'Active'"},
		{name: "a patch of the kind", line: "PATCH /api/v1/namespaces/ci/secrets/password", body: `{"kind": "ConfigMap"}`, headers: []string{merge}, code: 422, reason: "Invalid", want: "does not match the expected kind"},
		{name: "continued watch", line: "GET /api/v1/secrets?watch=true&continue=x", code: 422, reason: "Invalid", want: "when continue is provided"},
		{name: "timeout without a unit", line: "GET /api/v1/secrets?timeout=30", code: 400, reason: "BadRequest", want: "invalid timeout specified in the request URL - time: missing unit"},
		{name: "a shard", line: "GET /api/v1/secrets?shardSelector=a", code: 400, reason: "BadRequest", want: "shardSelector"},
		{name: "websocket", line: "GET /api/v1/secrets?watch=true", headers: []string{"Connection: Upgrade", "Upgrade: websocket"}, code: 400, reason: "BadRequest", want: "Upgrade"},
		{name: "impersonated user", line: "GET /api/v1/secrets", headers: []string{"Impersonate-User: jane"}, code: 403, reason: "Forbidden", want: "Impersonate-User"},
		{name: "impersonated group", line: "GET /readyz", headers: []string{"impersonate-group: x"}, code: 403, reason: "Forbidden", want: "Impersonate-Group"},
		{name: "impersonated extra", line: "GET /api", headers: []string{"Impersonate-Extra-Scopes: x"}, code: 403, reason: "Forbidden", want: "Impersonate-Extra-Scopes"},
		{name: "a token as a table", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"}, body: `{}`, code: 406, reason: "NotAcceptable"},
		{name: "metadata of discovery", line: "GET /api/v1", headers: []string{"Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}, code: 406, reason: "NotAcceptable"},
		{name: "a stream of one object", line: "GET /api/v1/namespaces/ci", headers: []string{"Accept: application/json;stream=watch"}, code: 406, reason: "NotAcceptable"},

		{name: "immortal", line: "DELETE /api/v1/namespaces/default", code: 403, reason: "Forbidden"},
		{name: "the future", line: "GET /api/v1/namespaces/ci?resourceVersion=1000", code: 504, reason: "Timeout", want: "Too large resource version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, apiserver.Config{})
			a.cluster.Compact()
			code, body := a.do(tt.line, tt.body, tt.headers...)
			checkStatus(t, code, body, tt.code, tt.reason, tt.want)
			if a.outcome().HTTPStatus != code || a.outcome().Err == nil || a.outcome().Panic != nil {
				t.Errorf("the observer was told %+v", a.outcome())
			}
		})
	}
}

// checkStatus checks that an answer is a Status with code and reason, and that
// its message contains want and no Secret.
func checkStatus(t *testing.T, gotCode int, body string, code int32, reason metav1.StatusReason, want string) {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatalf("got %d %s: %v", gotCode, body, err)
	}
	if int32(gotCode) != code || status.Code != code || status.Reason != reason || status.Status != metav1.StatusFailure ||
		status.Kind != "Status" || status.APIVersion != "v1" || status.Message == "" || !strings.Contains(status.Message, want) {
		t.Errorf("got %d %s\nwant %d %s with %q", gotCode, body, code, reason, want)
	}
	if strings.Contains(body, hunter) || strings.Contains(body, "hunter2") {
		t.Errorf("the refusal shows the Secret: %s", body)
	}
}

// Whoever says who they are has to be right about it.
func TestAPIAuthenticates(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	token := ok[authenticationv1.TokenRequest](t, a, "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", "{}").Status.Token
	other := ok[authenticationv1.TokenRequest](t, a, "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", `{"spec": {"audiences": ["vault"]}}`).Status.Token
	for _, tt := range []struct {
		name    string
		headers []string
		code    int
	}{
		{"nobody", nil, 200},
		{"token", []string{"Authorization: Bearer " + token}, 200},
		{"lower case", []string{"Authorization: bearer " + token}, 200},
		{"another audience", []string{"Authorization: Bearer " + other}, 401},
		{"damaged", []string{"Authorization: Bearer " + token[:len(token)-3]}, 401},
		{"not a token", []string{"Authorization: Bearer x"}, 401},
		{"no token", []string{"Authorization: Bearer"}, 401},
		{"empty", []string{"Authorization: "}, 401},
		{"password", []string{"Authorization: Basic aHVudGVyOmh1bnRlcjI="}, 401},
		{"two", []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 401},
	} {
		code, body := a.do("GET /api/v1/namespaces/ci", "", tt.headers...)
		if code != tt.code || strings.Contains(body, token) {
			t.Errorf("%s: got %d %s, want %d", tt.name, code, body, tt.code)
		}
		if code == http.StatusUnauthorized {
			checkStatus(t, code, body, 401, metav1.StatusReasonUnauthorized, "Unauthorized")
		}
	}
}

// The faults of the Cluster reach the wire as what they are.
func TestAPIFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		code   int32
		reason metav1.StatusReason
	}{
		{"conflict", fault.Conflict, 409, metav1.StatusReasonConflict},
		{"timeout", fault.Timeout, 504, metav1.StatusReasonTimeout},
		{"answer lost", fault.AnswerLost, 504, metav1.StatusReasonTimeout},
		{"other", errors.New("out of order"), 500, metav1.StatusReasonInternalError},
		{"deadline", fmt.Errorf("etcd: %w", context.DeadlineExceeded), 504, metav1.StatusReasonTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t, apiserver.Config{})
			a.cluster.Inject(fault.On("create", "configmaps", tt.err))
			code, body := a.do("POST /api/v1/namespaces/ci/configmaps", `{"metadata": {"name": "x"}}`)
			checkStatus(t, code, body, tt.code, tt.reason, "")
		})
	}
}

// A panic below the handler is a 500 that shows nothing of it.
func TestAPIPanics(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	a.cluster.Inject(fault.Func("a panic", func(op fault.Op) error {
		if op.Resource == "secrets" && op.Verb == "get" {
			panic("hunter2")
		}
		return nil
	}))
	code, body := a.do("GET /api/v1/namespaces/ci/secrets/password", "")
	checkStatus(t, code, body, 500, metav1.StatusReasonInternalError, "panicked")
	if a.outcome().Panic != "hunter2" || len(a.outcome().Stack) == 0 || a.outcome().HTTPStatus != 500 {
		t.Errorf("the observer was told %+v", a.outcome())
	}
	a.cluster.ClearFaults()
	if code, _ := a.do("GET /api/v1/namespaces/ci/secrets/password", ""); code != 200 {
		t.Errorf("got %d after the panic", code)
	}

	// Of a controller, which must not hold up the next request.
	a.cluster.Inject(fault.Func("a panic", func(op fault.Op) error {
		if op.Resource == "secrets" && op.Verb == "update" {
			panic("hunter2")
		}
		return nil
	}))
	code, body = a.do("POST /api/v1/namespaces/ci/secrets", guideSecret)
	checkStatus(t, code, body, 500, metav1.StatusReasonInternalError, "panicked")
	a.cluster.ClearFaults()
	if code, body := a.do("DELETE /api/v1/namespaces/ci/secrets/mysecretname", ""); code != 200 {
		t.Errorf("got %d %s after the panic of a controller", code, body)
	}
}

// A handler that asks for the connection to be cut gets that.
func TestAPIAborts(t *testing.T) {
	a := newAPI(t, apiserver.Config{AdmitPod: func(context.Context, apiserver.PodOperation) error { panic(http.ErrAbortHandler) }})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler || a.outcome().HTTPStatus != 0 {
			t.Errorf("got the panic %v, status %d", p, a.outcome().HTTPStatus)
		}
	}()
	a.do("POST /api/v1/namespaces/ci/pods", newPod)
}

// Many clients at once, and a test that settles meanwhile: every Secret is
// filled when its creation was answered.
func TestAPIConcurrentClients(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 5 {
				name := fmt.Sprintf("s%d-%d", i, j)
				if code, body := a.do("POST /api/v1/namespaces/ci/secrets", strings.Replace(guideSecret, "mysecretname", name, 1)); code != http.StatusCreated {
					t.Errorf("got %d %s", code, body)
				}
				if code, body := a.do("GET /api/v1/namespaces/ci/secrets/"+name, ""); code != http.StatusOK || !strings.Contains(body, `"token":"`) {
					t.Errorf("got %d, and the Secret %s has no token", code, name)
				}
				if err := a.authority.Settle(t.Context()); err != nil {
					t.Error(err)
				}
				if code, body := a.do("DELETE /api/v1/namespaces/ci/secrets/"+name, ""); code != http.StatusOK {
					t.Errorf("got %d %s", code, body)
				}
			}
		})
	}
	all.Wait()
	if secrets, err := a.cluster.ListSecrets(t.Context(), "ci"); err != nil || len(secrets) != 1 {
		t.Errorf("%d Secrets are left: %v", len(secrets), err)
	}
}

// A client that has gone away is told so, should it still listen.
func TestAPICancelledRequests(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, request("POST /api/v1/namespaces/ci/secrets", guideSecret).WithContext(ctx))
	checkStatus(t, w.Code, w.Body.String(), 504, metav1.StatusReasonTimeout, "given up")
}
