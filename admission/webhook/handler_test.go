package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

func TestHandlerRefusesWhatIsNotAReview(t *testing.T) {
	good := reviewOf(rawPod(t, pod()))
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the review", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	deep := func(n int) string {
		return replace(`"metadata":{`, `"metadata":{"x":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`,`)
	}
	tests := []struct {
		name    string
		body    string
		request func(*http.Request)
		status  int
		text    string // in the body
	}{
		// H01
		{name: "good", body: good, status: 200},
		{"GET", good, func(r *http.Request) { r.Method = http.MethodGet }, 405, "want POST"},
		{"PUT", good, func(r *http.Request) { r.Method = http.MethodPut }, 405, "want POST"},
		{"no content type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "application/json"},
		{"text", good, header("Content-Type", "text/plain"), 415, "application/json"},
		{"almost JSON", good, header("Content-Type", "application/json5"), 415, "application/json"},
		{"broken content type", good, header("Content-Type", "application/json; charset"), 415, "application/json"},
		{"parameters", good, header("Content-Type", "application/json; charset=utf-8"), 200, ""},
		{"gzip", good, header("Content-Encoding", "gzip"), 415, "content encoding"},
		{"identity", good, header("Content-Encoding", "identity"), 200, ""},
		{"bad timeout", good, func(r *http.Request) { r.URL.RawQuery = "timeout=soon" }, 400, "timeout"},
		{"negative timeout", good, func(r *http.Request) { r.URL.RawQuery = "timeout=-1s" }, 400, "timeout"},
		{"other queries", good, func(r *http.Request) { r.URL.RawQuery = "x=1" }, 200, ""},
		{"no query", good, func(r *http.Request) { r.URL.RawQuery = "" }, 200, ""},
		// H02
		{"empty", "", nil, 400, "not a JSON object at byte 0"},
		{"above the limit", good + strings.Repeat(" ", 3<<20), nil, 413, "3145728 bytes"},
		{"7 MiB and a byte", strings.Repeat(" ", 7<<20+1), nil, 413, "3145728 bytes"},
		{"above the limit, length unknown", good + strings.Repeat(" ", 3<<20), func(r *http.Request) { r.ContentLength = -1 }, 413, "3145728 bytes"},
		// H03
		{"no request", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, nil, 400, "no request"},
		{"request is null", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`, nil, 400, "no request"},
		{"request is a list", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]}`, nil, 400, "not an object"},
		{"no uid", replace(`"uid":"`+reviewUID+`",`, ``), nil, 400, "no uid"},
		{"empty uid", replace(reviewUID, ``), nil, 400, "no uid"},
		{"uid is a number", replace(`"`+reviewUID+`"`, `1`), nil, 400, "not a string"},
		// H04
		{"YAML", "kind: AdmissionReview\napiVersion: admission.k8s.io/v1\n", nil, 400, "not a JSON object"},
		{"YAML alias bomb", "a: &a [x]\nb: [*a, *a]\n", nil, 400, "not a JSON object"},
		{"byte order mark", "\ufeff" + good, nil, 400, "not a JSON object at byte 0"},
		{"protobuf", "k8s\x00" + good, nil, 400, "not a JSON object at byte 0"},
		{"NUL", replace(`{"kind"`, "{\x00\"kind\""), nil, 400, "no name"},
		{"NUL at the end", good + "\x00", nil, 400, "more than one JSON value"},
		{"two values", good + good, nil, 400, "more than one JSON value"},
		{"depth 20,000", deep(20_000), nil, 400, "nested too deeply"},
		{"depth 100", deep(100), nil, 200, ""},
		{"depth 256", deep(252), nil, 200, ""},
		{"depth 257", deep(253), nil, 400, "nested too deeply"},
		{"cut off", good[:len(good)-1], nil, 400, "end of an object"},
		{"comma at the end", replace(`}}`, `},}`), nil, 400, "no name"},
		{"invalid UTF-8", replace(`"web"`, "\"w\xffb\""), nil, 400, "invalid UTF-8"},
		{"half a surrogate pair", replace(`"web"`, `"w\ud800b"`), nil, 400, "surrogate"},
		// H05
		{"v1beta1", replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), nil, 400, "set admissionReviewVersions of the webhook to [v1]"},
		{"v9", replace("admission.k8s.io/v1", "admission.k8s.io/v9"), nil, 400, `"admission.k8s.io/v9", want one of admission.k8s.io/v1`},
		{"no kind", replace(`"kind":"AdmissionReview",`, ``), nil, 400, `got kind "" of "admission.k8s.io/v1"`},
		{"kind Pod", rawPod(t, pod()), nil, 400, `got kind "Pod" of "v1"`},
		{"kind List", replace(`"AdmissionReview"`, `"List"`), nil, 400, `got kind "List"`},
		{"no group", replace(`"admission.k8s.io/v1"`, `"v1"`), nil, 400, `got kind "AdmissionReview" of "v1"`},
		{"a list", `[]`, nil, 400, "not a JSON object"},
		{"null", `null`, nil, 400, "not a JSON object"},
		// H06
		{"two specs", replace(`"spec":{`, `"spec":{},"spec":{`), nil, 400, `duplicate name: "spec"`},
		{"two specs, one escaped", replace(`"spec":{`, `"\u0073pec":{},"spec":{`), nil, 400, `duplicate name: "spec"`},
		{"a duplicate far below", replace(`"resources":{}`, `"resources":{"limits":{"cpu":"1","cpu":"2"}}`), nil, 400, `duplicate name: "cpu"`},
		// H07
		{"two requests", replace(`"request":{`, `"request":{},"request":{`), nil, 400, `duplicate name: "request"`},
		{"REQUEST", replace(`"request":{`, `"REQUEST":{},"request":{`), nil, 400, `name that differs from request only in case: "REQUEST"`},
		{"only REQUEST", replace(`"request":{`, `"REQUEST":{`), nil, 400, `only in case: "REQUEST"`},
		{"folded by Unicode", replace(`"namespace":"shop",`, `"namespace":"shop","name\u017Fpace":"kube-system",`), nil, 400, `name that differs from namespace only in case`},
		{"two uids", replace(`"uid":"`, `"uid":"x","uid":"`), nil, 400, `duplicate name: "uid"`},
		{"another case in kind", replace(`"version":"v1"`, `"version":"v1","Version":"v2"`), nil, 400, `only in case: "Version"`},
	}
	h := handlerOf(t, have(account("default")))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.request == nil {
				tt.request = func(*http.Request) {}
			}
			w := post(h, tt.body, tt.request)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
				t.Fatalf("got HTTP %d %.300s, want %d and %q", w.Code, w.Body, tt.status, tt.text)
			}
			if allowed := strings.Contains(w.Body.String(), `"allowed":true`); allowed != (tt.status == 200) {
				t.Errorf("allowed is %v", allowed)
			}
			if allow := w.Header().Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("HTTP %d has the header Allow: %q", w.Code, allow)
			}
			if got := w.Header().Get("Content-Type"); tt.status == 200 && got != "application/json" {
				t.Errorf("the answer is of type %q", got)
			}
		})
	}
}

func TestHandlerDecides(t *testing.T) {
	type change = func(*admissionv1.AdmissionRequest)
	in := rawPod(t, pod())
	badRequest := func(why string) *metav1.Status {
		return &metav1.Status{Status: "Failure", Code: 400, Reason: "BadRequest", Message: "admission: " + why}
	}
	tests := []struct {
		name    string
		object  string
		changes []change
		want    *metav1.Status // nil if it is allowed
		patched bool
	}{
		{name: "create", object: in, patched: true},
		{name: "dry run", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.DryRun = new(bool); *r.DryRun = true }}, patched: true},
		{name: "not found", object: rawPod(t, pod(runsAs("gone"))), want: forbidden(`error looking up service account shop/gone: serviceaccount "gone" not found`)},
		{name: "name of the request counts", object: strings.Replace(rawPod(t, pod(runsAs("gone"))), `"name":"web"`, `"name":"other"`, 1), want: forbidden(`error looking up service account shop/gone: serviceaccount "gone" not found`)},
		{name: "generated name", object: `{"metadata":{"generateName":"web"},"spec":{"serviceAccountName":"gone"}}`, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Name = "" }}, want: forbidden(`error looking up service account shop/gone: serviceaccount "gone" not found`)},
		{name: "another case of spec", object: strings.Replace(in, `"spec":`, `"SPEC":{"serviceAccountName":"gone"},"Spec":{"serviceAccountName":"gone"},"spec":`, 1), patched: true}, // H06
		{name: "namespace of the request counts", object: strings.Replace(in, `"namespace":"shop"`, `"namespace":"other"`, 1), patched: true},
		// ADM-2, ADM-T2
		{name: "another resource", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "CustomResource" }}},
		{name: "no resource", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "" }}, want: badRequest("the request names no resource")},
		{name: "pods of another group", object: `{"spec":7}`, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Resource.Group = "example.com" }}},
		// ADM-3, ADM-5
		{name: "update", object: `{"spec":[]}`, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update }}},
		{name: "binding", object: `{"target":{}}`, changes: []change{func(r *admissionv1.AdmissionRequest) { r.SubResource, r.Kind.Kind = "binding", "Binding" }}},
		{name: "delete", changes: []change{func(r *admissionv1.AdmissionRequest) {
			r.Operation, r.OldObject.Raw = admissionv1.Delete, []byte(in)
		}}},
		{name: "connect", changes: []change{func(r *admissionv1.AdmissionRequest) { r.Operation, r.SubResource = admissionv1.Connect, "exec" }}},
		{name: "unknown operation", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Operation = "PATCH" }}, want: badRequest(`unknown operation "PATCH"`)},
		// H03
		{name: "no object", want: badRequest("the request has no object")},
		{name: "only an old object", changes: []change{func(r *admissionv1.AdmissionRequest) { r.OldObject.Raw = []byte(in) }}, want: badRequest("the request has no object")},
		{name: "null object", object: "null", want: badRequest("the request has no object")},
		{name: "object is a text", object: `"pod"`, want: badRequest("the object is not a pod: not an object at byte N")},
		{name: "not a pod", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Namespace" }}, want: badRequest(`got an object of kind "v1/Namespace", want v1/Pod`)},
		{name: "pod of another version", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Resource.Version = "v2" }}, want: badRequest(`got pods of version "v2", want v1`)},
		{name: "object says that it is not a pod", object: `{"kind":"Namespace","apiVersion":"v1"}`, want: badRequest(`got an object of kind "Namespace" of "v1", want Pod of v1`)},
		{name: "object says that it is another pod", object: `{"kind":"Pod","apiVersion":"v2"}`, want: badRequest(`got an object of kind "Pod" of "v2", want Pod of v1`)},
		{name: "old object with a name that is none", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.OldObject.Raw = []byte(`{"metadata":{"name":7}}`) }}, patched: true},
		{name: "no namespace", object: in, changes: []change{func(r *admissionv1.AdmissionRequest) { r.Namespace = "" }}, want: badRequest("the request has no namespace")},
		{name: "account is a number", object: `{"spec":{"serviceAccountName":7}}`, want: badRequest("the object is not a pod: not a string at byte N")},
		{name: "volumes are an object", object: `{"spec":{"volumes":{}}}`, want: badRequest("the object is not a pod: not an array at byte N")},
		{name: "automount is a text", object: `{"spec":{"automountServiceAccountToken":"false"}}`, want: badRequest("the object is not a pod: not a boolean at byte N")},
		{name: "a container is a list", object: `{"spec":{"containers":[[]]}}`, want: badRequest("the object is not a pod: not an object at byte N")},
		// ADM-60, ADM-61, A07
		{name: "mirror pod", object: rawPod(t, pod(mirror))},
		{name: "mirror pod with an account", object: rawPod(t, pod(mirror, runsAs("a"))), want: forbidden("a mirror pod may not reference service accounts")},
		// ADM-225, A01
		{
			name: "ephemeral container", object: rawPod(t, pod(runsAs("limited"), debug(corev1.Container{Name: "c", EnvFrom: secretEnvFrom("s")}))), changes: []change{ephemeralUpdate},
			want: unwrapped(`ephemeral container c with envFrom referencing secret.secretName="s" is not allowed because service account limited does not reference that secret`),
		},
		{name: "harmless ephemeral container", object: rawPod(t, pod(runsAs("limited"), debug(corev1.Container{Name: "c"}))), changes: []change{ephemeralUpdate}},
		{name: "ephemeral container without an account", object: in, changes: []change{ephemeralUpdate}, want: forbidden("no service account specified for pod shop/web")},
		{name: "already right", object: rawPod(t, pod(runsAs("default"), withMounts(tokenMount("x"))))},
	}
	h := handlerOf(t, have(account("default"), account("limited", enforces("true"))))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := respond(t, h, reviewOf(tt.object, tt.changes...))
			if got.Allowed != (tt.want == nil) || got.Patch != nil != tt.patched {
				t.Errorf("allowed is %v with the patch %s, want %v and a patch %v", got.Allowed, got.Patch, tt.want == nil, tt.patched)
			}
			if got.Result != nil {
				got.Result.Message = offset.ReplaceAllString(got.Result.Message, "at byte N")
			}
			if diff := cmp.Diff(tt.want, got.Result); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

var offset = regexp.MustCompile(`at byte \d+`)

func TestHandlerValidateOnly(t *testing.T) {
	h := newHandler(t, plugin(t, have(account("default")), limit), webhook.Config{ValidateOnly: true})
	got := respond(t, h, reviewOf(rawPod(t, pod(runsAs("default")))))
	if !got.Allowed || got.Patch != nil {
		t.Errorf("got %+v, want it allowed and not patched", got)
	}
	got = respond(t, h, reviewOf(rawPod(t, pod())))
	if diff := cmp.Diff(forbidden("no service account specified for pod shop/web"), got.Result); got.Allowed || diff != "" {
		t.Errorf("allowed is %v; status (-want +got):\n%s", got.Allowed, diff)
	}
}

func TestHandlerWarnings(t *testing.T) {
	kubernetes := "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
	accounts := func(op admissionv1.Operation, old string) func(*admissionv1.AdmissionRequest) {
		return func(r *admissionv1.AdmissionRequest) {
			r.Operation, r.Resource.Resource, r.Kind.Kind = op, "serviceaccounts", "ServiceAccount"
			if old != "" {
				r.OldObject.Raw = []byte(old)
			}
		}
	}
	with, without := `{"kind":"ServiceAccount","metadata":{"annotations":{"kubernetes.io/enforce-mountable-secrets":"x"}}}`, `{"kind":"ServiceAccount","metadata":{}}`
	tests := []struct {
		name   string
		review string
		want   []string
	}{
		// ADM-234
		{"account created with it", reviewOf(with, accounts(admissionv1.Create, "")), []string{kubernetes}},
		{"account gets it", reviewOf(with, accounts(admissionv1.Update, without)), []string{kubernetes}},
		{"account had it", reviewOf(with, accounts(admissionv1.Update, with)), nil},
		{"account loses it", reviewOf(without, accounts(admissionv1.Update, with)), nil},
		{"account without it", reviewOf(without, accounts(admissionv1.Create, "")), nil},
		{"account gets it, which had something else of that name", reviewOf(with, accounts(admissionv1.Update, `{"spec":{"annotations":{"kubernetes.io/enforce-mountable-secrets":"x"}}}`)), []string{kubernetes}},
		{"token of an account", reviewOf(with, accounts(admissionv1.Create, ""), func(r *admissionv1.AdmissionRequest) { r.SubResource = "token" }), nil},
		{"pod of an account with it", reviewOf(rawPod(t, pod(runsAs("limited")))), nil},
		// A06
		{"pod of an account with a value that is not a boolean", reviewOf(rawPod(t, pod(runsAs("wrong")))), []string{
			`service account wrong: annotation kubernetes.io/enforce-mountable-secrets is "yes\n", which is not a boolean: references to secrets are not limited`,
		}},
		{"its ephemeral containers", reviewOf(rawPod(t, pod(runsAs("wrong"))), ephemeralUpdate), []string{
			`service account wrong: annotation kubernetes.io/enforce-mountable-secrets is "yes\n", which is not a boolean: references to secrets are not limited`,
		}},
	}
	h := handlerOf(t, have(account("limited", enforces("true")), account("wrong", enforces("yes\n"))))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := respond(t, h, tt.review)
			if diff := cmp.Diff(tt.want, got.Warnings); diff != "" || !got.Allowed {
				t.Errorf("allowed is %v; warnings (-want +got):\n%s", got.Allowed, diff)
			}
		})
	}
}

// getterFunc is a getter made of a function.
type getterFunc func(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)

func (f getterFunc) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return f(ctx, namespace, name)
}

func TestHandlerSurvivesAPanic(t *testing.T) {
	// H08
	panics := true
	var outcomes []webhook.Event
	p := plugin(t, have(), func(c *admission.Config) {
		c.ServiceAccounts = getterFunc(func(context.Context, string, string) (*corev1.ServiceAccount, error) {
			if panics {
				panic("the secret is s3cr3t")
			}
			return account("default"), nil
		})
	})
	h := newHandler(t, p, webhook.Config{Observe: func(_ context.Context, o webhook.Event) { outcomes = append(outcomes, o) }})
	body := reviewOf(rawPod(t, pod()))
	w := post(h, body)
	if strings.Contains(w.Body.String(), "s3cr3t") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("the answer tells of the panic: %s", w.Body)
	}
	got := respond(t, h, body)
	if got.Allowed || got.Result.Code != http.StatusInternalServerError {
		t.Errorf("got %+v, want a refusal with code 500", got)
	}
	if o := outcomes[1]; o.Panic != "the secret is s3cr3t" || len(o.Stack) == 0 || o.Allowed || o.Err == nil {
		t.Errorf("observed %+v, want the panic and its stack", o)
	}
	panics = false
	if got := respond(t, h, body); !got.Allowed {
		t.Errorf("the next request got %+v, want it allowed", got)
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	h, err := webhook.New(nil, webhook.Config{MaxBytes: -1, Timeout: -time.Second})
	const want = "webhook: Config.plugin is required, want what admission.New returns\n" +
		"webhook: Config.MaxBytes is -1, want 0 for the default or a positive value\n" +
		"webhook: Config.Timeout is -1s, want 0 for the default or a positive value"
	if err == nil || err.Error() != want || h != nil {
		t.Errorf("New() = %v, %v, want\n%s", h, err, want)
	}
	if _, ok := errors.AsType[*webhook.ConfigError](err); !ok {
		t.Errorf("New() = %v, want ConfigErrors", err)
	}
}

func TestHandlerWithAPluginThatIsNotFromNew(t *testing.T) {
	if got := respond(t, newHandler(t, &admission.Plugin{}, webhook.Config{}), reviewOf(rawPod(t, pod()))); got.Allowed {
		t.Error("allowed, want a denial")
	}
}

func TestHandlerCreationOfEphemeralContainersIsThatOfAPod(t *testing.T) {
	// ADM-3, ADM-6: it does not happen, and is no way around the checks.
	refusal := forbidden(`volume with secret.secretName="s" is not allowed because service account default does not reference that secret`)
	object := rawPod(t, pod(runsAs("default"), withVolumes(secretVolume("v", "s"))))
	got := respond(t, handlerOf(t, have(account("default")), limit), reviewOf(object, func(r *admissionv1.AdmissionRequest) { r.SubResource = "ephemeralcontainers" }))
	if diff := cmp.Diff(refusal, got.Result); got.Allowed || diff != "" {
		t.Errorf("allowed is %v; status (-want +got):\n%s", got.Allowed, diff)
	}
}

func TestHandlerObserves(t *testing.T) {
	var got webhook.Event
	h := newHandler(t, plugin(t, have(account("default"))), webhook.Config{Observe: func(_ context.Context, o webhook.Event) { got = o }})
	dry := reviewOf(rawPod(t, pod()), func(r *admissionv1.AdmissionRequest) { r.DryRun = new(bool); *r.DryRun = true })
	patch := respond(t, h, dry).Patch
	want := webhook.Event{
		HTTPStatus: 200, UID: reviewUID, Operation: "CREATE", Resource: "pods", Namespace: "shop", Name: "web", DryRun: true,
		Allowed: true, PatchBytes: len(patch),
	}
	if got.Took <= 0 {
		t.Errorf("took %v", got.Took)
	}
	if got.Took = 0; !cmp.Equal(got, want) {
		t.Errorf("observed (-want +got):\n%s", cmp.Diff(want, got))
	}
	respond(t, h, bigReview(t, 1))
	if got.DryRun {
		t.Error("observed a dry run, want none")
	}
	respond(t, h, reviewOf(rawPod(t, pod(runsAs("gone")))))
	if got.Allowed || got.Err == nil || !strings.Contains(got.Err.Error(), `"gone" not found`) {
		t.Errorf("observed %+v, want the refusal", got)
	}
	post(h, "x")
	if got.HTTPStatus != 400 || got.Err == nil || got.Allowed || got.UID != "" {
		t.Errorf("observed %+v, want HTTP 400 and why", got)
	}
}

func TestHandlerTimeouts(t *testing.T) {
	// H09: the getter sees the API server's deadline, less a bit for the answer.
	slow := getterFunc(func(ctx context.Context, _, _ string) (*corev1.ServiceAccount, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for _, tt := range []struct {
		query string
		cfg   time.Duration
		want  time.Duration
	}{
		{"timeout=1s", 0, 900 * time.Millisecond},
		{"timeout=30s", 0, 10 * time.Second},
		{"timeout=30s", time.Minute, 29500 * time.Millisecond},
		{"", 2 * time.Second, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHandler(t, plugin(t, have(), func(c *admission.Config) { c.ServiceAccounts = slow }), webhook.Config{Timeout: tt.cfg})
			start := time.Now()
			w := post(h, reviewOf(rawPod(t, pod())), func(r *http.Request) { r.URL.RawQuery = tt.query })
			if took := time.Since(start); took != tt.want || !strings.Contains(w.Body.String(), `"allowed":false`) {
				t.Errorf("%s and %v: answered %s after %v, want a refusal after %v", tt.query, tt.cfg, w.Body, took, tt.want)
			}
			if !strings.Contains(w.Body.String(), `"retryAfterSeconds":1`) {
				t.Errorf("the answer %s does not say that trying again may help", w.Body)
			}
		})
	}
}

func TestHandlerWhenTheClientLeaves(t *testing.T) {
	// H09
	asked, ended := make(chan struct{}), make(chan error, 1)
	p := plugin(t, have(), func(c *admission.Config) {
		c.ServiceAccounts = getterFunc(func(ctx context.Context, _, _ string) (*corev1.ServiceAccount, error) {
			close(asked)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
	})
	server := httptest.NewServer(newHandler(t, p, webhook.Config{Timeout: time.Minute}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(reviewOf(rawPod(t, pod()))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if resp, err := server.Client().Do(r); err == nil {
		resp.Body.Close()
		t.Fatal("the request was answered")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the lookup ended with %v, want that it was cancelled", err)
	}
}

func TestHandlerInParallel(t *testing.T) {
	// H10: run with -race.
	a := account("default", pulls("registry"))
	before := a.DeepCopy()
	h := handlerOf(t, have(a))
	bodies := []string{reviewOf(rawPod(t, pod())), reviewOf(rawPod(t, bigPod(3))), reviewOf(rawPod(t, pod(runsAs("gone")))), "{", strings.Repeat("[", 1000)}
	want := make([]string, len(bodies))
	for i, body := range bodies {
		want[i] = post(h, body).Body.String()
	}
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() {
			if got := post(h, bodies[n%len(bodies)]).Body.String(); got != want[n%len(bodies)] {
				t.Errorf("got %s, want %s", got, want[n%len(bodies)])
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(before, a); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
}

func TestHandlerMemoryIsBounded(t *testing.T) {
	// H02, H04: what is short in a body must not be long in memory.
	repeat := func(before, item, after string) string {
		n := (3<<20 - 2000) / (len(item) + 1)
		return reviewOf(before + strings.Repeat(item+",", n-1) + item + after)
	}
	var keys strings.Builder
	keys.WriteString(`{"metadata":{"annotations":{"":""`)
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	for i := range 300_000 {
		keys.WriteString(`,"` + string([]byte{digits[i&63], digits[i>>6&63], digits[i>>12&63], digits[i>>18&63]}) + `":1`)
	}
	keys.WriteString(`}}}`)
	bodies := map[string]string{
		"containers":   repeat(`{"spec":{"containers":[`, `{}`, `]}}`),
		"null":         repeat(`{"spec":{"containers":[`, `null`, `]}}`),
		"mounts":       repeat(`{"spec":{"containers":[{"volumeMounts":[`, `{}`, `]}]}}`),
		"volumes":      repeat(`{"spec":{"volumes":[`, `{}`, `]}}`),
		"pull secrets": repeat(`{"spec":{"imagePullSecrets":[`, `{}`, `]}}`),
		"env":          repeat(`{"spec":{"containers":[{"env":[`, `{"valueFrom":{"secretKeyRef":{}}}`, `]}]}}`),
		"projections":  repeat(`{"spec":{"volumes":[{"projected":{"sources":[`, `{"secret":{}}`, `]}}]}}`),
		"numbers":      repeat(`{"spec":{"x":[`, `1`, `]}}`),
		"keys":         reviewOf(keys.String()),
	}
	h := handlerOf(t, have(account("default")))
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := post(h, body)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
				t.Errorf("a body of %d bytes took %d bytes of memory", len(body), allocated)
			}
			if w.Code != http.StatusOK && w.Code != http.StatusBadRequest {
				t.Errorf("got HTTP %d", w.Code)
			}
		})
	}
}

func TestHandlerRefusesTooManyItems(t *testing.T) {
	body := reviewOf(`{"spec":{"containers":[` + strings.Repeat(`{},`, 20_000) + `{}]}}`)
	got := respond(t, handlerOf(t, have(account("default"))), body)
	if got.Allowed || !strings.Contains(got.Result.Message, "more than 20000 containers, volumes, mounts and references") {
		t.Errorf("got %+v, want a refusal that says how many are too many", got)
	}
}
