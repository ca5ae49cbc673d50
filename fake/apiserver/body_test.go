package apiserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// What can't be read is a 400 that says where it is wrong, and never what is
// there.
func TestAPIMalformedBodies(t *testing.T) {
	const create, update = "POST /api/v1/namespaces/ci/secrets", "PUT /api/v1/namespaces/ci/secrets/password"
	const patch, remove = "PATCH /api/v1/namespaces/ci/secrets/password", "DELETE /api/v1/namespaces/ci/secrets/password"
	merge, steps, strategic := "Content-Type: application/merge-patch+json", "Content-Type: application/json-patch+json", "Content-Type: application/strategic-merge-patch+json"
	protobuf := "Content-Type: application/vnd.kubernetes.protobuf"
	for _, tt := range []struct {
		name, line, body string
		header           string
		want             string
	}{
		{name: "empty", line: create, want: "not a JSON object"},
		{name: "blank", line: create, body: " \n", want: "not a JSON object"},
		{name: "null", line: create, body: "null", want: "not a JSON object"},
		{name: "a list", line: create, body: `["` + hunter + `"]`, want: "not a JSON object"},
		{name: "a text", line: create, body: `"` + hunter + `"`, want: "not a JSON object"},
		{name: "yaml", line: create, body: "data:\n  value: " + hunter, want: "not a JSON object"},
		{name: "cut off", line: create, body: `{"data": {"value": "` + hunter, want: "not valid JSON"},
		{name: "more after it", line: create, body: `{"metadata": {"name": "x"}} hunter2`, want: "not valid JSON at byte 2"},
		{name: "two", line: create, body: `{"metadata": {"name": "x"}}{}`, want: "not valid JSON"},
		{name: "no base64", line: create, body: `{"metadata": {"name": "x"}, "data": {"value": "hunter2!"}}`, want: "can't be read as a Secret"},
		{name: "a text for a map", line: create, body: `{"metadata": {"name": "x"}, "data": "` + hunter + `"}`, want: "data is not a map[string][]uint8"},
		{name: "a number for a text", line: create, body: `{"metadata": {"name": "x"}, "stringData": {"value": 1234567}}`, want: "stringData is not a string"},
		{name: "a list for the kind", line: create, body: `{"kind": ["` + hunter + `"]}`, want: "kind is not a string"},
		{name: "bad time", line: create, body: `{"metadata": {"name": "x", "creationTimestamp": "` + hunter + `"}}`, want: "can't be read as a Secret"},
		{name: "another kind", line: create, body: `{"kind": "ConfigMap", "apiVersion": "v1"}`, want: "the kind in the data (ConfigMap) does not match the expected kind (Secret)"},
		{name: "another version", line: create, body: `{"kind": "Secret", "apiVersion": "v2"}`, want: "the API version in the data (v2) does not match the expected API version (v1)"},
		{name: "another namespace", line: create, body: `{"metadata": {"name": "x", "namespace": "default"}}`, want: "does not match the namespace sent on the request"},
		{name: "unknown fields", line: create + "?fieldValidation=Strict", body: `{"metadata": {"name": "x", "lables": {}, "ownerReferences": [{"nmae": "` + hunter + `"}]}, "Data": {}}`,
			want: `Secret in version "v1" cannot be handled as a Secret: strict decoding error: unknown field "metadata.lables", unknown field "metadata.ownerReferences[0].nmae", unknown field "Data"`},
		{name: "deep", line: create, body: strings.Repeat(`{"a":`, 20000), want: "not valid JSON"},
		{name: "deep and strict", line: create + "?fieldValidation=Strict", body: strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000), want: `unknown field "a"`},

		{name: "another name", line: update, body: `{"metadata": {"name": "x"}}`, want: "the name of the object (x) does not match the name on the URL (password)"},
		{name: "no name", line: update, body: `{"metadata": {}}`, want: "name must be provided"},
		{name: "moved", line: update, body: `{"metadata": {"name": "password", "namespace": "default"}}`, want: "namespace"},

		{name: "patch of nothing", line: patch, header: merge, want: "invalid JSON patch"},
		{name: "merge patch that is a list", line: patch, header: merge, body: `[]`, want: "error decoding patch: json: cannot unmarshal array"},
		{name: "JSON patch that is an object", line: patch, header: steps, body: `{}`, want: "json: cannot unmarshal object"},
		{name: "patch cut off", line: patch, header: strategic, body: `{"data": {"value": "` + hunter, want: "invalid JSON patch"},
		{name: "patch of the name", line: patch, header: merge, body: `{"metadata": {"name": "x"}}`, want: "does not match the name on the URL"},

		{name: "options of another kind", line: remove, body: `{"kind": "CreateOptions", "apiVersion": "v1"}`, want: "expected kind (DeleteOptions)"},
		{name: "options of another group", line: remove, body: `{"kind": "DeleteOptions", "apiVersion": "apps/v1"}`, want: "API version"},
		{name: "options that are a list", line: remove, body: `[]`, want: "want a DeleteOptions"},
		{name: "grace in words", line: remove + "?gracePeriodSeconds=soon", want: `parsing "soon": invalid syntax`},
		{name: "limit in words", line: "GET /api/v1/secrets?limit=few", want: `parsing "few": invalid syntax`},
		{name: "timeout in words", line: "GET /api/v1/secrets?watch=1&timeoutSeconds=soon", want: `parsing "soon": invalid syntax`},
		{name: "bad label selector", line: "GET /api/v1/secrets?labelSelector=%21%21", want: "unable to parse requirement"},
		{name: "bad field selector", line: "GET /api/v1/secrets?fieldSelector=data", want: "invalid selector"},
		{name: "unknown field in a selector", line: "GET /api/v1/secrets?watch=true&fieldSelector=data%3Dx", want: "field label not supported"},
		{name: "bad continue", line: "GET /api/v1/secrets?continue=x", want: "continue key is not valid"},

		{name: "a review without a token", line: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: `{}`, want: "token is required"},
		{name: "another review", line: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: `{"kind": "SelfSubjectReview"}`, want: "expected kind (TokenReview)"},
		{name: "another request", line: "POST /api/v1/namespaces/ci/serviceaccounts/builder/token", body: `{"kind": "TokenRequest", "apiVersion": "v1"}`, want: "API version"},

		{name: "protobuf that is none", line: create, header: protobuf, body: `{}`, want: "in protobuf"},
		{name: "protobuf without an envelope", line: create, header: protobuf, body: "k8s\x00\xff", want: "in protobuf"},
		{name: "protobuf of another kind", line: create, header: protobuf, body: envelope("v1", "Pod", nil), want: "expected kind (Secret)"},
		{name: "protobuf that is damaged", line: create, header: protobuf, body: envelope("v1", "Secret", []byte("\xff"+hunter)), want: "in protobuf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			a := newAPI(t, apiserver.Config{})
			before := a.cluster.Revision()
			code, body := a.do(tt.line, tt.body, headers...)
			checkStatus(t, code, body, 400, metav1.StatusReasonBadRequest, tt.want)
			if strings.Contains(body, "1234567") {
				t.Errorf("the refusal shows the Secret: %s", body)
			}
			if a.outcome().Panic != nil {
				t.Errorf("panic: %v\n%s", a.outcome().Panic, a.outcome().Stack)
			}
			// The first request lets the controllers make two accounts.
			if got := a.cluster.Revision(); before != "5" || got != "7" {
				t.Errorf("the revision went from %s to %s: something was written", before, got)
			}
		})
	}
}

// envelope is how clients send an object in protobuf.
func envelope(apiVersion, kind string, object []byte) string {
	wrapped := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: object}
	data, err := wrapped.Marshal()
	if err != nil {
		panic(err)
	}
	return "k8s\x00" + string(data)
}

// kubectl and client-go send built-in types in protobuf, and accept JSON.
func TestAPIReadsProtobuf(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	data, err := (&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "new", Labels: map[string]string{"a": "b"}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	ns := ok[corev1.Namespace](t, a, "POST /api/v1/namespaces?fieldValidation=Strict", envelope("v1", "Namespace", data),
		"Content-Type: application/vnd.kubernetes.protobuf", "Accept: application/vnd.kubernetes.protobuf,application/json")
	if ns.Name != "new" || ns.Labels["a"] != "b" {
		t.Errorf("created %+v", ns.ObjectMeta)
	}
}

// Unknown fields are told as warnings if the client wants that.
func TestAPIWarnsOfUnknownFields(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	w := httptest.NewRecorder()
	a.ServeHTTP(w, request("POST /api/v1/namespaces/ci/configmaps?fieldValidation=Warn",
		`{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "creationTimestamp": null}, "dta": {}, "é\n": 1}`))
	want := []string{`299 - "unknown field \"dta\""`, `299 - "unknown field \" \\n\""`}
	if got := w.Header().Values("Warning"); w.Code != http.StatusCreated || strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("got %d, warnings %q, want %q", w.Code, got, want)
	}
	// A whole object that the server has made has no unknown field: the check
	// knows inlined structs and types that read themselves.
	pod := ok[map[string]any](t, a, "GET /api/v1/namespaces/ci/pods/web", "")
	(*pod)["metadata"] = map[string]any{"name": "again", "managedFields": []any{map[string]any{"fieldsV1": map[string]any{"f:x": map[string]any{}}}}}
	spec := (*pod)["spec"].(map[string]any)
	spec["volumes"] = []any{map[string]any{"name": "v", "emptyDir": map[string]any{"sizeLimit": "1Gi"}}}
	body, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	ok[corev1.Pod](t, a, "POST /api/v1/namespaces/ci/pods?fieldValidation=Strict", string(body))
}

// Bodies are read up to the limit of an API server and no further.
func TestAPILargeBodies(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	large := `{"metadata": {"name": "` + strings.Repeat("x", 3<<20) + `"}}`
	for _, line := range []string{
		"POST /api/v1/namespaces/ci/secrets", "PUT /api/v1/namespaces/ci/secrets/password", "DELETE /api/v1/namespaces/ci/secrets/password",
		"POST /apis/authentication.k8s.io/v1/tokenreviews", "POST /api/v1/namespaces/ci/serviceaccounts/builder/token",
	} {
		code, body := a.do(line, large)
		checkStatus(t, code, body, 413, metav1.StatusReasonRequestEntityTooLarge, "limit is 3145728")
	}
	code, body := a.do("PATCH /api/v1/namespaces/ci/secrets/password", large, "Content-Type: application/merge-patch+json")
	checkStatus(t, code, body, 413, metav1.StatusReasonRequestEntityTooLarge, "")
	many := "[" + strings.Repeat(`{"op":"test","path":"","value":1},`, 10000) + "{}]"
	code, body = a.do("PATCH /api/v1/namespaces/ci/secrets/password", many, "Content-Type: application/json-patch+json")
	checkStatus(t, code, body, 413, metav1.StatusReasonRequestEntityTooLarge, "The allowed maximum operations in a JSON patch is 10000, got 10001")

	// Of unknown length, and never ending.
	r := request("POST /api/v1/namespaces/ci/secrets", "")
	r.ContentLength = -1
	r.Body = io.NopCloser(endless{})
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	checkStatus(t, w.Code, w.Body.String(), 413, metav1.StatusReasonRequestEntityTooLarge, "")

	// Broken off.
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"data":`), broken{}))
	w = httptest.NewRecorder()
	a.ServeHTTP(w, r)
	checkStatus(t, w.Code, w.Body.String(), 400, metav1.StatusReasonBadRequest, "could not be read")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
