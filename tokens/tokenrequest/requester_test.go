package tokenrequest_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

func requesterConfig(w *tokentest.World, issuer *tokenissuer.Issuer) tokenrequest.Config {
	return tokenrequest.Config{
		Issuer: issuer, APIAudiences: []string{api, "api.internal"},
		ServiceAccounts: w, Secrets: w, Pods: w, Nodes: w,
	}
}

// A requestWorld has a requester, and remembers what it warns of and audits.
type requestWorld struct {
	*tokentest.World
	issuer   tokenissuer.Config
	cfg      tokenrequest.Config
	request  *authenticationv1.TokenRequest
	warnings []string
	audit    map[string]string
	event    tokenrequest.Event // the last one
}

func newRequestWorld() *requestWorld {
	w := &requestWorld{World: tokentest.NewWorld(), issuer: tokentest.IssuerConfig(), audit: map[string]string{}}
	w.issuer.NewID = func() string { return "id-1" }
	w.cfg = requesterConfig(w.World, nil)
	w.cfg.Observe = func(_ context.Context, e tokenrequest.Event) {
		w.warnings = append(w.warnings, e.Warnings...)
		maps.Copy(w.audit, e.AuditAnnotations)
		w.event = e
	}
	w.request = &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{api}, ExpirationSeconds: new(int64(3600))}}
	return w
}

func (w *requestWorld) bindTo(apiVersion, kind, name string) {
	w.request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: apiVersion, Kind: kind, Name: name}
}

func (w *requestWorld) create(t *testing.T) (*authenticationv1.TokenRequest, error) {
	t.Helper()
	w.cfg.Issuer = must(tokenissuer.New(w.issuer))
	r, err := tokenrequest.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := w.request.DeepCopy()
	got, err := r.Create(t.Context(), "ci", "builder", w.request)
	if diff := cmp.Diff(before, w.request); diff != "" {
		t.Errorf("Create() changed the request (-before +after):\n%s", diff)
	}
	return got, err
}

// identity returns who the token of tr is.
func (w *requestWorld) identity(t *testing.T, tr *authenticationv1.TokenRequest) *tokens.Identity {
	t.Helper()
	id, err := tokentest.NewAuthenticator(t, w.World, nil).Authenticate(t.Context(), tr.Status.Token, tr.Spec.Audiences...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// REQ-2, REQ-10..12, REQ-54, REQ-56, REQ-58
func TestTokenRequestDefaults(t *testing.T) {
	w := newRequestWorld()
	w.Accounts["ci/builder"].DeletionTimestamp = &metav1.Time{Time: now}
	w.request = &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, CreationTimestamp: metav1.Unix(1, 0)},
		Status:     authenticationv1.TokenRequestStatus{Token: "x"},
	}
	w.cfg.Authorize = func(_ context.Context, _ *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) error {
		if tr.Status.Token != "" || tr.Name != "builder" || tr.Namespace != "ci" || tr.UID != "uid-of-builder" {
			t.Errorf("Authorize got %+v, want it with its defaults and without a status", tr)
		}
		return nil
	}
	got, err := w.create(t)
	if err != nil {
		t.Fatal(err)
	}
	id := w.identity(t, got)
	if id.Expiry != now.Add(time.Hour).Local() || id.CredentialID != "JTI=id-1" {
		t.Errorf("the token is %+v, want one of an hour", id)
	}
	got.Status.Token = ""
	want := &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "uid-of-builder", Labels: map[string]string{"a": "b"}, CreationTimestamp: metav1.NewTime(now)},
		Spec:       authenticationv1.TokenRequestSpec{Audiences: []string{api, "api.internal"}, ExpirationSeconds: new(int64(3600))},
		Status:     authenticationv1.TokenRequestStatus{ExpirationTimestamp: metav1.NewTime(now.Add(time.Hour))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Create() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"authentication.kubernetes.io/issued-credential-id": "JTI=id-1"}, w.audit); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	if w.warnings != nil {
		t.Errorf("warnings %q, want none", w.warnings)
	}
}

// REQ-4..8, REQ-13, REQ-14, REQ-20..28, REQ-30..37, REQ-40, REQ-55, M02, M03, M04, M05, M06
func TestTokenRequestRefuses(t *testing.T) {
	const invalid = `TokenRequest.authentication.k8s.io "" is invalid: `
	const admission = "admissionregistration.k8s.io/v1"
	groups := func(values ...string) map[string]authenticationv1.AttestationValue {
		return map[string]authenticationv1.AttestationValue{tokens.AttestedAPIGroups: values}
	}
	seconds := func(n int64) func(*requestWorld) {
		return func(w *requestWorld) { w.request.Spec.ExpirationSeconds = &n }
	}
	bound := func(apiVersion, kind, name string) func(*requestWorld) {
		return func(w *requestWorld) { w.bindTo(apiVersion, kind, name) }
	}
	webhook := func(attestations map[string]authenticationv1.AttestationValue) func(*requestWorld) {
		return func(w *requestWorld) {
			w.bindTo(admission, "ValidatingWebhookConfiguration", "checks")
			w.request.Spec.Attestations = attestations
		}
	}
	tests := []struct {
		name   string
		change func(*requestWorld)
		code   int32
		text   string
	}{
		{"other name", func(w *requestWorld) { w.request.Name = "x" }, 422,
			`TokenRequest.authentication.k8s.io "builder" is invalid: metadata.name: Invalid value: "x": must match the service account name if specified`},
		{"other namespace", func(w *requestWorld) { w.request.Namespace = "x" }, 422,
			`TokenRequest.authentication.k8s.io "builder" is invalid: metadata.namespace: Invalid value: "x": must match the service account namespace if specified`},
		{"no account", func(w *requestWorld) { delete(w.Accounts, "ci/builder") }, 404, `serviceaccounts "builder" not found`},
		{"getter without contract", func(w *requestWorld) { w.Accounts["ci/builder"] = nil }, 500, "Internal error occurred: the call returned neither an object nor an error"},
		{"other UID", func(w *requestWorld) { w.request.UID = "x" }, 409,
			`Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "builder": the UID in the token request (x) does not match the UID of the service account (uid-of-builder)`},
		{"599 s", seconds(599), 422, invalid + "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"},
		{"0 s", seconds(0), 422, invalid + "spec.expirationSeconds: Invalid value: 0: may not specify a duration less than 10 minutes"},
		{"-1 s", seconds(-1), 422, invalid + "spec.expirationSeconds: Invalid value: -1: may not specify a duration less than 10 minutes"},
		{"2^32+1 s", seconds(1<<32 + 1), 422, invalid + "spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"},
		{"2^63-1 s", seconds(1<<63 - 1), 422, invalid + "spec.expirationSeconds: Invalid value: 9223372036854775807: may not specify a duration larger than 2^32 seconds"},
		{"attestation without webhook masks the rest", func(w *requestWorld) { seconds(0)(w); w.request.Spec.Attestations = groups("apps") }, 422,
			invalid + `spec.attestations: Invalid value: {"admissionReviewAPIGroups":["apps"]}: attestations may only be specified with a webhook bound object reference`},
		{"webhook of another version with attestation", func(w *requestWorld) { webhook(groups("apps"))(w); w.request.Spec.BoundObjectRef.APIVersion += "beta1" }, 422,
			invalid + `spec.attestations: Invalid value: {"admissionReviewAPIGroups":["apps"]}: attestations may only be specified with a webhook bound object reference`},
		{"webhook without attestation, two audiences", func(w *requestWorld) { webhook(nil)(w); w.request.Spec.Audiences = []string{"a", "b"} }, 422,
			invalid + `[spec.audiences: Invalid value: ["a","b"]: must be length 1 when bound to a webhook config, spec.attestations: Invalid value: null: webhook bound requests require exactly one admissionReviewAPIGroups attestation]`},
		{"webhook with unknown attestation", webhook(map[string]authenticationv1.AttestationValue{"x": {"apps"}}), 422,
			invalid + `spec.attestations[x]: Unsupported value: "x": supported values: "admissionReviewAPIGroups"`},
		{"webhook with two groups", webhook(groups("a", "b")), 422, invalid + `spec.attestations[admissionReviewAPIGroups]: Invalid value: ["a","b"]: must specify a single value`},
		{"webhook with empty group", webhook(groups("")), 422, invalid + `spec.attestations[admissionReviewAPIGroups][0]: Invalid value: "": may not be an empty string`},
		{"webhook with odd group", webhook(groups("A_B")), 422, invalid + `spec.attestations[admissionReviewAPIGroups][0]: Invalid value: "A_B": must specify a valid API Group: a lowercase RFC 1123 subdomain must`},
		{"webhook bindings off", webhook(groups("apps")), 400,
			"cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"},
		{"hook refuses", func(w *requestWorld) {
			w.cfg.Authorize = func(_ context.Context, account *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) error {
				tr.Spec.Audiences[0] = "changed"
				return errors.New("audience of another team")
			}
		}, 403, `serviceaccounts/token "builder" is forbidden: audience of another team`},
		{"hook refuses with a status", func(w *requestWorld) {
			w.cfg.Authorize = func(context.Context, *corev1.ServiceAccount, *authenticationv1.TokenRequest) error {
				return apierrors.NewTooManyRequestsError("later")
			}
		}, 429, "later"},
		{"no pod", bound("v1", "Pod", "x"), 404, `pods "x" not found`},
		{"pod of another account", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.Pods["ci/job"].Spec.ServiceAccountName = "x" }, 400,
			`cannot bind token for serviceaccount "builder" to pod running with different serviceaccount name.`},
		{"pod without account", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.Pods["ci/job"].Spec.ServiceAccountName = "" }, 400,
			`cannot bind token for serviceaccount "builder" to pod running with different serviceaccount name.`},
		{"pod recreated", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.request.Spec.BoundObjectRef.UID = "x" }, 409,
			`Operation cannot be fulfilled on Pod "job": the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated`},
		{"node of the pod unavailable", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.Nodes = unavailable{} }, 500, "Internal error occurred: no connection"},
		{"no node", bound("v1", "Node", "x"), 404, `nodes "x" not found`},
		{"no secret", bound("v1", "Secret", "x"), 404, `secrets "x" not found`},
		{"node recreated", func(w *requestWorld) { w.bindTo("v1", "Node", "worker"); w.request.Spec.BoundObjectRef.UID = "x" }, 409, `Operation cannot be fulfilled on Node "worker": the UID`},
		{"Secret recreated", func(w *requestWorld) { w.bindTo("v1", "Secret", "settings"); w.request.Spec.BoundObjectRef.UID = "x" }, 409, `Operation cannot be fulfilled on Secret "settings": the UID`},
		{"a name that no Secret can have", bound("v1", "Secret", "A"), 404, `secrets "A" not found`},
		{"no getter", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.Pods = nil }, 400, "cannot bind token to object of type /v1, Kind=Pod"},
		{"no getter of nodes", func(w *requestWorld) { w.bindTo("v1", "Node", "worker"); w.cfg.Nodes = nil }, 400, "cannot bind token to object of type /v1, Kind=Node"},
		{"no getter of Secrets", func(w *requestWorld) { w.bindTo("v1", "Secret", "settings"); w.cfg.Secrets = nil }, 400, "cannot bind token to object of type /v1, Kind=Secret"},
		{"other kind of the webhooks' group", bound(admission, "ValidatingAdmissionPolicy", "x"), 400, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingAdmissionPolicy"},
		{"webhook of another group", bound("apps/v1", "ValidatingWebhookConfiguration", "x"), 400, "cannot bind token to object of type apps/v1, Kind=ValidatingWebhookConfiguration"},
		{"mutating webhook, bindings off", func(w *requestWorld) {
			webhook(groups("apps"))(w)
			w.request.Spec.BoundObjectRef.Kind = "MutatingWebhookConfiguration"
		}, 400, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=MutatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"},
		{"hook refuses with the last code of a client's mistake", func(w *requestWorld) {
			w.cfg.Authorize = func(context.Context, *corev1.ServiceAccount, *authenticationv1.TokenRequest) error {
				return &apierrors.StatusError{ErrStatus: metav1.Status{Code: 499, Message: "gone home"}}
			}
		}, 499, "gone home"},
		{"other group", bound("apps/v1", "Pod", "job"), 400, "cannot bind token to object of type apps/v1, Kind=Pod"},
		{"other version", bound("v2", "Pod", "job"), 400, "cannot bind token to object of type /v2, Kind=Pod"},
		{"three parts", bound("a/b/c", "Pod", "job"), 400, "cannot bind token to object of type /, Kind=Pod"},
		{"other kind", bound("v1", "ConfigMap", "x"), 400, "cannot bind token to object of type /v1, Kind=ConfigMap"},
		{"other case", bound("v1", "pod", "job"), 400, "cannot bind token to object of type /v1, Kind=pod"},
		{"empty reference", bound("", "", ""), 400, "cannot bind token to object of type /, Kind="},
		{"signer fails", func(w *requestWorld) {
			w.issuer.Signer = tokentest.SignerFunc(func(context.Context, []byte) (string, error) { return "", errors.New("no connection") })
		}, 500, "Internal error occurred: failed to generate token: tokenissuer: signing: no connection"},
		{"65 audiences", func(w *requestWorld) {
			w.request.Spec.Audiences = nil
			for i := range 65 {
				w.request.Spec.Audiences = append(w.request.Spec.Audiences, strconv.Itoa(i))
			}
		}, 400, "has more than 64"},
		{"audience that is no text", func(w *requestWorld) { w.request.Spec.Audiences = []string{"\xff"} }, 400, "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newRequestWorld()
			tt.change(w)
			got, err := w.create(t)
			var status apierrors.APIStatus
			if !errors.As(err, &status) || got != nil || status.Status().Code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Create() = %v, %v, want %d %s", got, err, tt.code, tt.text)
			}
			if gate := "feature gate"; strings.Contains(err.Error(), gate) != strings.Contains(tt.text, gate) {
				t.Errorf("Create() = %v, want %s", err, tt.text)
			}
			result := tokenrequest.ResultDenied
			if tt.code >= 500 {
				result = tokenrequest.ResultFailed
			}
			if e := w.event; e.Result != result || e.Reason != status.Status().Reason || e.Err != err || e.Namespace != "ci" || e.Name != "builder" || e.CredentialID != "" {
				t.Errorf("the event is %+v, want the result %s, and the error and its reason", e, result)
			}
			if len(w.audit) != 0 {
				t.Errorf("audited %v for a refusal", w.audit)
			}
		})
	}

	r := must(tokenrequest.New(requesterConfig(tokentest.NewWorld(), tokentest.NewIssuer(t, nil))))
	if _, err := r.Create(t.Context(), "", "builder", &authenticationv1.TokenRequest{}); err == nil || err.Error() != "namespace is required" {
		t.Errorf("Create() without namespace = %v", err)
	}
	if _, err := r.Create(t.Context(), "ci", "builder", nil); !apierrors.IsBadRequest(err) {
		t.Errorf("Create() of nothing = %v, want BadRequest", err)
	}
}

// REQ-4..8, REQ-13..15, REQ-31, REQ-37, REQ-50: what is judged first. Each step
// repairs what the one before complains of.
func TestTokenRequestOrder(t *testing.T) {
	w := newRequestWorld()
	account := w.Accounts["ci/builder"]
	delete(w.Accounts, "ci/builder")
	job := w.Pods["ci/job"]
	job.Spec.ServiceAccountName = "other"
	delete(w.Pods, "ci/job")
	w.bindTo("v1", "Pod", "job")
	w.request.Spec.BoundObjectRef.UID = "x"
	w.request.Name, w.request.Namespace, w.request.UID = "x", "x", "x"
	w.request.Spec.ExpirationSeconds = new(int64(599))
	w.cfg.MaxLifetime = time.Hour
	refuse := errors.New("not today")
	w.cfg.Authorize = func(context.Context, *corev1.ServiceAccount, *authenticationv1.TokenRequest) error { return refuse }
	w.issuer.Signer = tokentest.SignerFunc(func(context.Context, []byte) (string, error) { return "", errors.New("no connection") })
	for _, step := range []struct {
		want   string
		repair func()
	}{
		{"metadata.name", func() { w.request.Name = "" }},
		{"metadata.namespace", func() { w.request.Namespace = "" }},
		{"not found", func() { w.Accounts["ci/builder"] = account }},
		{"UID in the token request", func() { w.request.UID = "" }},
		{"less than 10 minutes", func() { w.request.Spec.ExpirationSeconds = new(int64(7200)) }},
		{"not today", func() { refuse = nil }},
		{`pods "job" not found`, func() { w.Pods["ci/job"] = job }},
		{"different serviceaccount name", func() { job.Spec.ServiceAccountName = "builder" }},
		{"UID in the bound object reference", func() { w.request.Spec.BoundObjectRef.UID = "" }},
	} {
		if _, err := w.create(t); err == nil || !strings.Contains(err.Error(), step.want) {
			t.Fatalf("Create() = %v, want %q", err, step.want)
		}
		if len(w.warnings) != 0 || len(w.audit) != 0 {
			t.Errorf("at %q: warnings %v, audit %v, want none", step.want, w.warnings, w.audit)
		}
		step.repair()
	}
	if _, err := w.create(t); err == nil || !strings.Contains(err.Error(), "failed to generate token") {
		t.Errorf("Create() = %v, want the failure of the signer at last", err)
	}
	if len(w.warnings) != 1 || len(w.audit) != 0 {
		t.Errorf("warnings %v, audit %v, want the one about the lifetime", w.warnings, w.audit)
	}
}

// REQ-55: an error that is no status is returned as it is, and is a failure.
func TestTokenRequestGetterFails(t *testing.T) {
	w := newRequestWorld()
	w.World.Err = errors.New("no connection")
	if _, err := w.create(t); err != w.World.Err || w.event.Result != tokenrequest.ResultFailed || w.event.Reason != "" || w.event.Err != err {
		t.Errorf("Create() = %v with the event %+v, want the error of the getter", err, w.event)
	}
}

// Took is the time that Create took, hooks included.
func TestTokenRequestTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRequestWorld()
		w.cfg.Authorize = func(context.Context, *corev1.ServiceAccount, *authenticationv1.TokenRequest) error {
			time.Sleep(2 * time.Second)
			return nil
		}
		if _, err := w.create(t); err != nil || w.event.Took != 2*time.Second || w.event.Result != tokenrequest.ResultIssued {
			t.Errorf("Create() = %v with the event %+v, want that it took 2 s", err, w.event)
		}
	})
}

// An unavailable getter can't be asked.
type unavailable struct{}

func (unavailable) GetNode(context.Context, string) (*corev1.Node, error) {
	return nil, errors.New("no connection")
}

// REQ-9
func TestTokenRequestIgnoresUID(t *testing.T) {
	w := newRequestWorld()
	w.request.UID, w.cfg.IgnoreUID = "x", true
	got, err := w.create(t)
	if err != nil {
		t.Fatal(err)
	}
	const mismatch = "the UID in the token request (x) does not match the UID of the service account (uid-of-builder)"
	if got.UID != "x" || w.identity(t, got).UID != "uid-of-builder" || w.audit["authentication.k8s.io/token-request-uid-mismatch"] != mismatch ||
		len(w.warnings) != 1 || w.warnings[0] != mismatch+" but TokenRequestServiceAccountUIDValidation is not enabled. In the future, this will return a conflict error" {
		t.Errorf("UID %s, audit %v, warnings %q", got.UID, w.audit, w.warnings)
	}
}

// REQ-28, REQ-30..35, REQ-37, REQ-38
func TestTokenRequestBinds(t *testing.T) {
	ref := func(name string) tokens.ObjectRef {
		return tokens.ObjectRef{Name: name, UID: metav1.ObjectMeta{UID: tokentest.Meta("", name).UID}.UID}
	}
	tests := []struct {
		name   string
		change func(*requestWorld)
		want   tokens.Identity // only what it is bound to
	}{
		{"nothing", func(*requestWorld) {}, tokens.Identity{}},
		{"nothing, of the very account", func(w *requestWorld) {
			w.request.Name, w.request.Namespace, w.request.UID = "builder", "ci", "uid-of-builder"
		}, tokens.Identity{}},
		{"pod, its node from elsewhere", func(w *requestWorld) {
			w.bindTo("v1", "Pod", "job")
			w.cfg.PodNodes = &tokentest.World{Nodes: map[string]*corev1.Node{"worker": {ObjectMeta: metav1.ObjectMeta{Name: "worker", UID: "cached"}}}}
		}, tokens.Identity{Pod: ref("job"), Node: tokens.ObjectRef{Name: "worker", UID: "cached"}}},
		{"pod", func(w *requestWorld) { w.bindTo("v1", "Pod", "job") }, tokens.Identity{Pod: ref("job"), Node: ref("worker")}},
		{"pod with UID, no version", func(w *requestWorld) { w.bindTo("", "Pod", "job"); w.request.Spec.BoundObjectRef.UID = "uid-of-job" }, tokens.Identity{Pod: ref("job"), Node: ref("worker")}},
		{"pod on an unknown node", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); delete(w.Nodes, "worker") }, tokens.Identity{Pod: ref("job"), Node: tokens.ObjectRef{Name: "worker"}}},
		{"pod, nodes unknown", func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.Nodes = nil }, tokens.Identity{Pod: ref("job"), Node: tokens.ObjectRef{Name: "worker"}}},
		{"pod on no node, finished and to be deleted", func(w *requestWorld) {
			w.bindTo("v1", "Pod", "job")
			pod := w.Pods["ci/job"]
			pod.Spec.NodeName, pod.Status.Phase, pod.DeletionTimestamp = "", corev1.PodSucceeded, &metav1.Time{Time: now}
		}, tokens.Identity{Pod: ref("job")}},
		{"node", func(w *requestWorld) { w.bindTo("v1", "Node", "worker") }, tokens.Identity{Node: ref("worker")}},
		{"secret of any type", func(w *requestWorld) { w.bindTo("v1", "Secret", "settings") }, tokens.Identity{Secret: ref("settings")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newRequestWorld()
			w.request.Spec.Audiences = []string{"", "b", "b"}
			tt.change(w)
			got, err := w.create(t)
			if err != nil {
				t.Fatal(err)
			}
			id := w.identity(t, got)
			bound := tokens.Identity{Pod: id.Pod, Node: id.Node, Secret: id.Secret}
			if bound.Pod != tt.want.Pod || bound.Node != tt.want.Node || bound.Secret != tt.want.Secret {
				t.Errorf("bound to %+v, want %+v", bound, tt.want)
			}
		})
	}
}

// REQ-50..54, REQ-57
func TestTokenRequestLifetime(t *testing.T) {
	const year = 365 * 24 * 3600
	tests := []struct {
		name      string
		requested int64
		change    func(*requestWorld)
		spec      int64 // spec and status
		token     int64 // "exp" from now
		warn      string
	}{
		{"600", 600, func(*requestWorld) {}, 600, 600, ""},
		{"2^32", 1 << 32, func(*requestWorld) {}, 1 << 32, 1 << 32, ""},
		{"above the maximum", 7200, func(w *requestWorld) { w.cfg.MaxLifetime = time.Hour }, 3600, 3600, "requested expiration of 7200 seconds shortened to 3600 seconds"},
		{"an external signer's maximum of 30 minutes", 3600, func(w *requestWorld) { w.cfg.MaxLifetime = 30 * time.Minute }, 1800, 1800, "requested expiration of 3600 seconds shortened to 1800 seconds"},
		{"the smallest maximum", 3600, func(w *requestWorld) { w.cfg.MaxLifetime = 10 * time.Minute }, 600, 600, "requested expiration of 3600 seconds shortened to 600 seconds"},
		{"the maximum", 3600, func(w *requestWorld) { w.cfg.MaxLifetime = time.Hour }, 3600, 3600, ""},
		{"the Issuer's maximum, below the minimum", 600, func(w *requestWorld) { w.cfg.MaxLifetime, w.issuer.MaxLifetime = time.Hour, time.Minute }, 60, 60, "requested expiration of 600 seconds shortened to 60 seconds"},
		{"the Issuer's maximum of a second", 600, func(w *requestWorld) { w.issuer.MaxLifetime = time.Second }, 1, 1, "requested expiration of 600 seconds shortened to 1 seconds"},
		{"the Issuer's maximum alone", 7200, func(w *requestWorld) { w.issuer.MaxLifetime = time.Hour }, 3600, 3600, "requested expiration of 7200 seconds shortened to 3600 seconds"},
		{"the Issuer's maximum is larger", 7200, func(w *requestWorld) { w.cfg.MaxLifetime, w.issuer.MaxLifetime = time.Hour, 2*time.Hour }, 3600, 3600, "requested expiration of 7200 seconds shortened to 3600 seconds"},
		{"pod", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job") }, 3607, year, ""},
		{"pod, subset of the API audiences", 3607, func(w *requestWorld) {
			w.bindTo("v1", "Pod", "job")
			w.request.Spec.Audiences = []string{"api.internal"}
		}, 3607, year, ""},
		{"pod, no extension", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.DisableExtension = true }, 3607, 3607, ""},
		{"pod, extension beyond the maximum", 3607, func(w *requestWorld) {
			w.bindTo("v1", "Pod", "job")
			w.cfg.MaxLifetime, w.cfg.ExtendedLifetime = 2*time.Hour, 5*time.Hour
		}, 3607, 18000, ""},
		{"pod, extension beyond the Issuer's maximum", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.issuer.MaxLifetime = 2 * time.Hour }, 3607, year, ""},
		{"pod, shortened to what is extended", 7200, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.MaxLifetime = 3607 * time.Second }, 3607, year, "requested expiration of 7200 seconds shortened to 3607 seconds"},
		{"pod, shortened below what is extended", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.MaxLifetime = time.Hour }, 3600, 3600, "requested expiration of 3607 seconds shortened to 3600 seconds"},
		{"pod, extension that shortens", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.cfg.ExtendedLifetime = 10 * time.Minute }, 3607, 600, ""},
		{"pod, another lifetime", 3608, func(w *requestWorld) { w.bindTo("v1", "Pod", "job") }, 3608, 3608, ""},
		{"pod, another audience", 3607, func(w *requestWorld) { w.bindTo("v1", "Pod", "job"); w.request.Spec.Audiences = []string{api, "vault"} }, 3607, 3607, ""},
		{"secret", 3607, func(w *requestWorld) { w.bindTo("v1", "Secret", "settings") }, 3607, 3607, ""},
		{"not bound", 3607, func(*requestWorld) {}, 3607, 3607, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newRequestWorld()
			w.request.Spec.ExpirationSeconds = &tt.requested
			tt.change(w)
			got, err := w.create(t)
			if err != nil {
				t.Fatal(err)
			}
			id := w.identity(t, got)
			status := got.Status.ExpirationTimestamp.Unix() - now.Unix()
			if token := id.Expiry.Unix() - now.Unix(); *got.Spec.ExpirationSeconds != tt.spec || status != tt.spec || token != tt.token {
				t.Errorf("spec %d s, status %d s, token %d s; want %d, %d, %d", *got.Spec.ExpirationSeconds, status, token, tt.spec, tt.spec, tt.token)
			}
			extended := tt.token != tt.spec
			if warn := !id.WarnAfter.IsZero(); warn != extended || warn && id.WarnAfter.Sub(now) != 3607*time.Second {
				t.Errorf("warnafter %v, want it after 3607 s: %v", id.WarnAfter, extended)
			}
			if got := strings.Join(w.warnings, "|"); got != tt.warn {
				t.Errorf("warnings %q, want %q", got, tt.warn)
			}
		})
	}
}

// REQ-40..48
func TestTokenRequestForWebhook(t *testing.T) {
	rule := func(groups ...string) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{APIGroups: groups}}
	}
	type rules = []admissionregistrationv1.RuleWithOperations
	client := func(url string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	service := func(name string, port *int32, path *string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "hooks", Name: name, Port: port, Path: path}}
	}
	validating := []admissionregistrationv1.ValidatingWebhook{
		{ClientConfig: client("https://a.example/x"), Rules: rules{rule("batch"), rule("apps", "events.k8s.io")}},
		{ClientConfig: client("https://b.example"), Rules: rules{rule("*")}},
		{ClientConfig: service("full", new(int32(8443)), new("/validate")), Rules: rules{rule("apps")}},
		{ClientConfig: service("plain", nil, nil), Rules: rules{rule("apps")}},
		{ClientConfig: service("slashless", nil, new("hooks")), Rules: rules{rule("apps")}},
		{ClientConfig: service("pathless", nil, new("")), Rules: rules{rule("apps")}},
		{ClientConfig: client("https://norules.example")},
		{Rules: rules{rule("apps")}},
	}
	const denied = `serviceaccounts/token "builder" is forbidden: token request denied`
	tests := []struct {
		name            string
		audience, group string
		change          func(*requestWorld)
		code            int32
		text            string
	}{
		{"URL", "https://a.example/x", "apps", nil, 0, ""},
		{"any rule", "https://b.example", "apps", nil, 0, ""},
		{"service with port and path", "https://full.hooks.svc:8443/validate", "apps", nil, 0, ""},
		{"service with defaults", "https://plain.hooks.svc:443/", "apps", nil, 0, ""},
		{"path without slash", "https://slashless.hooks.svc:443/hooks", "apps", nil, 0, ""},
		{"empty path", "https://pathless.hooks.svc:443/", "apps", nil, 0, ""},
		{"every group, unknown address", "https://elsewhere", "*", nil, 0, ""},
		{"to be deleted", "https://b.example", "apps", func(w *requestWorld) {
			w.Validating["checks"].DeletionTimestamp = &metav1.Time{Time: now.Add(time.Second)}
		}, 0, ""},
		{"3600 s", "https://b.example", "apps", func(w *requestWorld) { w.request.Spec.ExpirationSeconds = new(int64(3600)) }, 0, ""},
		{"mutating", "https://m.example", "apps", func(w *requestWorld) {
			w.bindTo("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "defaults")
			w.Mutating["defaults"].Webhooks = []admissionregistrationv1.MutatingWebhook{{ClientConfig: client("https://m.example"), Rules: rules{rule("apps")}}}
		}, 0, ""},
		{"slash behind", "https://full.hooks.svc:8443/validate/", "apps", nil, 403, denied},
		{"unknown address", "https://elsewhere", "apps", nil, 403, denied},
		{"empty audience", "", "apps", nil, 403, denied},
		{"no rules", "https://norules.example", "apps", nil, 403, denied},
		{"group of another webhook", "https://a.example/x", "policy", nil, 403, denied},
		{"missing", "https://b.example", "apps", func(w *requestWorld) { delete(w.Validating, "checks") }, 403, denied},
		{"missing, every group", "https://b.example", "*", func(w *requestWorld) { delete(w.Validating, "checks") }, 403, denied},
		{"may not attest, without a reason", "https://b.example", "quiet.example", nil, 403, `in API group "authentication.k8s.io" at the cluster scope`},
		{"deleted", "https://b.example", "apps", func(w *requestWorld) {
			w.Validating["checks"].DeletionTimestamp = &metav1.Time{Time: now.Add(-time.Second)}
		}, 403, denied},
		{"recreated", "https://b.example", "apps", func(w *requestWorld) { w.request.Spec.BoundObjectRef.UID = "x" }, 409, `Operation cannot be fulfilled on ValidatingWebhookConfiguration.admissionregistration.k8s.io "checks"`},
		{"API audience", api, "apps", nil, 400, "api server audiences are invalid for webhook token requests"},
		{"may not attest", "https://b.example", "secret.example", nil, 403, `admissionReviewAPIGroups.authentication.k8s.io "secret.example" is forbidden: User "system:serviceaccount:ci:builder" cannot attest resource "admissionReviewAPIGroups" in API group "authentication.k8s.io" at the cluster scope: no rule`},
		{"authorizer down", "https://b.example", "down.example", nil, 500, "Internal error occurred: no connection"},
		{"backend down", "https://b.example", "apps", func(w *requestWorld) { w.cfg.Webhooks = &tokentest.World{Err: errors.New("no connection")} }, http.StatusInternalServerError, "Internal error occurred: no connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newRequestWorld()
			w.Validating["checks"].Webhooks = validating
			w.bindTo("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "checks")
			w.request.Spec.Audiences = []string{tt.audience}
			w.request.Spec.Attestations = map[string]authenticationv1.AttestationValue{tokens.AttestedAPIGroups: {tt.group}}
			w.cfg.Webhooks = w.World
			w.cfg.Attest = func(_ context.Context, user authenticationv1.UserInfo, group string) (bool, string, error) {
				if user.Username != "system:serviceaccount:ci:builder" || user.UID != "uid-of-builder" {
					t.Errorf("asked about %v", user)
				}
				if group == "down.example" {
					return false, "", errors.New("no connection")
				}
				if group == "quiet.example" {
					return false, "", nil
				}
				return group != "secret.example", "no rule", nil
			}
			if tt.change != nil {
				tt.change(w)
			}
			got, err := w.create(t)
			if tt.code != 0 {
				var status apierrors.APIStatus
				if !errors.As(err, &status) || status.Status().Code != tt.code || !strings.Contains(err.Error(), tt.text) || strings.HasSuffix(err.Error(), ": ") {
					t.Fatalf("Create() = %v, %v, want %d %s", got, err, tt.code, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			id := w.identity(t, got)
			if id.ValidatingWebhook.Name == "" && id.MutatingWebhook.Name == "" || id.Expiry.Sub(now) != 10*time.Minute || *got.Spec.ExpirationSeconds != 600 ||
				id.UserInfo().Extra[userinfo.ExtraAdmissionReviewGroups][0] != tt.group {
				t.Errorf("the token is %+v, want one of ten minutes bound to the webhook", id)
			}
		})
	}
}

// A getter that returns neither an object nor an error is an InternalError, whatever it
// is asked for, never a panic.
func TestTokenRequestTypedNil(t *testing.T) {
	var account *corev1.ServiceAccount
	for name, change := range map[string]func(*requestWorld){
		"account": func(w *requestWorld) { w.cfg.ServiceAccounts = tokentest.Nothing{} },
		"Secret":  func(w *requestWorld) { w.cfg.Secrets = tokentest.Nothing{}; w.bindTo("v1", "Secret", "settings") },
		"pod":     func(w *requestWorld) { w.cfg.Pods = tokentest.Nothing{}; w.bindTo("v1", "Pod", "job") },
		"node":    func(w *requestWorld) { w.cfg.Nodes = tokentest.Nothing{}; w.bindTo("v1", "Node", "worker") },
		"node of the pod": func(w *requestWorld) {
			w.cfg.Nodes = tokentest.Nothing{}
			w.bindTo("v1", "Pod", "job")
		},
		"object": func(w *requestWorld) { w.cfg.Objects = tokentest.Nothing{}; w.bindTo("batch/v1", "Job", "nightly") },
		"typed nil of objects": func(w *requestWorld) {
			w.cfg.Objects = tokentest.Nothing{Object: account}
			w.bindTo("batch/v1", "Job", "nightly")
		},
		"validating webhook": webhookOf("ValidatingWebhookConfiguration"),
		"mutating webhook":   webhookOf("MutatingWebhookConfiguration"),
	} {
		w := newRequestWorld()
		change(w)
		got, err := w.create(t)
		var status apierrors.APIStatus
		if got != nil || !errors.As(err, &status) || status.Status().Code != http.StatusInternalServerError || w.event.Result != tokenrequest.ResultFailed {
			t.Errorf("%s: Create() = %v, %v with the result %s, want an InternalError", name, got, err, w.event.Result)
		}
	}
}

// webhookOf binds to a webhook configuration that the getter doesn't return.
func webhookOf(kind string) func(*requestWorld) {
	return func(w *requestWorld) {
		w.cfg.Webhooks = tokentest.Nothing{}
		w.cfg.Attest = func(context.Context, authenticationv1.UserInfo, string) (bool, string, error) { return true, "", nil }
		w.request.Spec.Audiences = []string{"https://hook.example"}
		w.request.Spec.Attestations = map[string]authenticationv1.AttestationValue{tokens.AttestedAPIGroups: {"apps"}}
		w.bindTo("admissionregistration.k8s.io/v1", kind, "checks")
	}
}

// The Event of a signer that panicked has the value and the stack; the answer has
// neither.
func TestTokenRequestPanic(t *testing.T) {
	w := newRequestWorld()
	w.issuer.Signer = tokentest.SignerFunc(func(context.Context, []byte) (string, error) { panic("hunter2") })
	_, err := w.create(t)
	if !apierrors.IsInternalError(err) || strings.Contains(err.Error(), "hunter2") || w.event.Result != tokenrequest.ResultFailed || w.event.CredentialID != "" {
		t.Errorf("Create() = %v with the event %+v, want an InternalError without the value", err, w.event)
	}
	if w.event.Panic != "hunter2" || !strings.Contains(string(w.event.Stack), "TestTokenRequestPanic") {
		t.Errorf("the Event has the panic %v and a stack of %d bytes, want those of the signer", w.event.Panic, len(w.event.Stack))
	}
}

// REQ-57
func TestNewTokenRequesterRefuses(t *testing.T) {
	for name, change := range map[string]func(*tokenrequest.Config){
		"Issuer is required":                                       func(cfg *tokenrequest.Config) { cfg.Issuer = nil },
		"APIAudiences is [], want":                                 func(cfg *tokenrequest.Config) { cfg.APIAudiences = nil },
		"ServiceAccounts is required":                              func(cfg *tokenrequest.Config) { cfg.ServiceAccounts = nil },
		"Webhooks is set without":                                  func(cfg *tokenrequest.Config) { cfg.Webhooks = tokentest.NewWorld() },
		"is 9m59.999999999s, want 0 or 10 minutes to 2^32 seconds": func(cfg *tokenrequest.Config) { cfg.MaxLifetime = 10*time.Minute - 1 },
		"Secrets is a nil *tokentest.World":                        func(cfg *tokenrequest.Config) { cfg.Secrets = (*tokentest.World)(nil) },
		"Pods is a nil *tokentest.World":                           func(cfg *tokenrequest.Config) { cfg.Pods = (*tokentest.World)(nil) },
		"Nodes is a nil *tokentest.World":                          func(cfg *tokenrequest.Config) { cfg.Nodes = (*tokentest.World)(nil) },
		"Webhooks is a nil *tokentest.World":                       func(cfg *tokenrequest.Config) { cfg.Webhooks = (*tokentest.World)(nil) },
		"Objects is a nil *tokentest.Jobs":                         func(cfg *tokenrequest.Config) { cfg.Objects = (*tokentest.Jobs)(nil) },
		"ExtendedLifetime is -1ns":                                 func(cfg *tokenrequest.Config) { cfg.ExtendedLifetime = -1 },
		"ExtendedLifetime is 1193046h28m16.000000001s":             func(cfg *tokenrequest.Config) { cfg.ExtendedLifetime = tokenissuer.MaxLifetime + 1 },
		"MaxLifetime is 1193046h28m16.000000001s":                  func(cfg *tokenrequest.Config) { cfg.MaxLifetime = tokenissuer.MaxLifetime + 1 },
		`APIAudiences is ["api" ""]`:                               func(cfg *tokenrequest.Config) { cfg.APIAudiences = []string{"api", ""} },
		"PodNodes is a nil *tokentest.World":                       func(cfg *tokenrequest.Config) { cfg.PodNodes = (*tokentest.World)(nil) },
		"PodNodes is set without Nodes":                            func(cfg *tokenrequest.Config) { cfg.PodNodes, cfg.Nodes = cfg.Nodes, nil },
	} {
		cfg := requesterConfig(tokentest.NewWorld(), tokentest.NewIssuer(t, nil))
		change(&cfg)
		if _, err := tokenrequest.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("NewTokenRequester() = %v, want %q", err, name)
		}
	}

	// The limits themselves are good, and what the caller does with the slice later doesn't count.
	cfg := requesterConfig(tokentest.NewWorld(), tokentest.NewIssuer(t, nil))
	cfg.MaxLifetime, cfg.ExtendedLifetime = tokenissuer.MaxLifetime, tokenissuer.MaxLifetime
	must(tokenrequest.New(cfg))
	cfg.MaxLifetime, cfg.ExtendedLifetime = 0, time.Second
	r := must(tokenrequest.New(cfg))
	cfg.APIAudiences[0] = "changed"
	if got, err := r.Create(t.Context(), "ci", "builder", &authenticationv1.TokenRequest{}); err != nil || got.Spec.Audiences[0] != api {
		t.Errorf("Create() = %+v, %v, want a token for %s", got, err, api)
	}
}
