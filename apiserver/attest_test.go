package apiserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A webhooks is storage of webhook configurations.
type webhooks map[string]runtime.Object

func (w webhooks) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if o, ok := w[name]; ok {
		return o, nil
	}
	return nil, apierrors.NewNotFound(admissionregistrationv1.Resource("webhookconfigurations"), name)
}

const (
	webhookURL     = "https://hook.example"
	webhookService = "https://hook.ops.svc:8443/check"
)

func webhookConfigurations() (validating, mutating webhooks) {
	meta := metav1.ObjectMeta{Name: "hook", UID: "7"}
	byURL := admissionregistrationv1.WebhookClientConfig{URL: new(webhookURL)}
	byService := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
		Namespace: "ops", Name: "hook", Port: new(int32(8443)), Path: new("/check"),
	}}
	rules := func(groups ...string) []admissionregistrationv1.RuleWithOperations {
		return []admissionregistrationv1.RuleWithOperations{{Rule: admissionregistrationv1.Rule{APIGroups: groups}}}
	}
	validating = webhooks{"hook": &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{
		{ClientConfig: byURL, Rules: rules("apps")}, {ClientConfig: byService, Rules: rules("apps")},
	}}}
	mutating = webhooks{"hook": &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{
		{ClientConfig: byURL, Rules: rules("apps")}, {ClientConfig: byService, Rules: rules("apps")},
	}}}
	return validating, mutating
}

const (
	validatingKind = "ValidatingWebhookConfiguration"
	mutatingKind   = "MutatingWebhookConfiguration"
)

// attested returns a request for a token for a webhook that is good.
func attested(kind string) *authenticationv1.TokenRequest {
	tr := requestFor(webhookURL)
	tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "admissionregistration.k8s.io/v1", Kind: kind, Name: "hook"}
	tr.Spec.Attestations = groups("apps")
	return tr
}

func groups(values ...string) map[string]authenticationv1.AttestationValue {
	return map[string]authenticationv1.AttestationValue{"admissionReviewAPIGroups": values}
}

// What Kubernetes' integration tests check of attestations (REQ-20..48, SRV-26).
func TestAttestations(t *testing.T) {
	validating, mutating := webhookConfigurations()
	s, account := newShop(t, func(cfg *apiserver.Config) {
		cfg.Live.Webhooks = lookup.FromStorage(cfg.Scheme, lookup.Storage{ValidatingWebhooks: validating, MutatingWebhooks: mutating}).Webhooks
	})
	const web = "system:serviceaccount:shop:web"
	attest := func(name string) any {
		return rule(web, "attest", "authentication.k8s.io", "admissionReviewAPIGroups", name)
	}
	s.names.Store(attest("apps"), true)
	s.createAccount(t, "idle")
	bounds["Pod"].create(t, s)
	bounds["Secret"].create(t, s)

	for kind, keys := range map[string][3]string{
		validatingKind: {"validatingwebhookconfiguration", userinfo.ExtraValidatingWebhookName, userinfo.ExtraValidatingWebhookUID},
		mutatingKind:   {"mutatingwebhookconfiguration", userinfo.ExtraMutatingWebhookName, userinfo.ExtraMutatingWebhookUID},
	} {
		for _, audience := range []string{webhookURL, webhookService} {
			for _, uid := range []string{"7", ""} {
				tr := attested(kind)
				tr.Spec.Audiences = []string{audience}
				tr.Spec.BoundObjectRef.UID = "7"
				if uid == "" {
					tr.Spec.BoundObjectRef.UID = ""
				}
				answer := must(s.createToken(t, tr))(t)
				if got := *answer.Spec.ExpirationSeconds; got != 600 {
					t.Errorf("lives %d s, want 600", got)
				}
				want := map[string]any{
					"namespace": "shop", "serviceaccount": map[string]any{"name": "web", "uid": string(account.UID)},
					keys[0]: map[string]any{"name": "hook", "uid": "7"}, "attestations": map[string]any{"admissionReviewAPIGroups": []any{"apps"}},
				}
				if diff := cmp.Diff(want, payload(t, answer.Status.Token)["kubernetes.io"]); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
				extra := s.review(t, answer.Status.Token, audience).User.Extra
				delete(extra, userinfo.ExtraCredentialID)
				wantExtra := map[string]authenticationv1.ExtraValue{keys[1]: {"hook"}, keys[2]: {"7"}, userinfo.ExtraAdmissionReviewGroups: {"apps"}}
				if diff := cmp.Diff(wantExtra, extra); diff != "" {
					t.Errorf("extra (-want +got):\n%s", diff)
				}
			}
		}
	}

	const denied = `serviceaccounts/token "web" is forbidden: token request denied`
	const onlyWebhooks = `attestations may only be specified with a webhook bound object reference`
	for _, tt := range []struct {
		name, account string
		mutate        func(*authenticationv1.TokenRequestSpec)
		want          string
	}{
		{name: "wrong UID", mutate: func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef.UID = "x" }, want: `Operation cannot be fulfilled on KIND.admissionregistration.k8s.io "hook": the UID in the bound object reference (x) does not match`},
		{name: "no attestation", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = nil }, want: `spec.attestations: Invalid value: null: webhook bound requests require exactly one admissionReviewAPIGroups attestation`},
		{name: "no permission", account: "idle", want: `admissionReviewAPIGroups.authentication.k8s.io "apps" is forbidden: User "system:serviceaccount:shop:idle" cannot attest resource "admissionReviewAPIGroups" in API group "authentication.k8s.io" at the cluster scope`},
		{name: "all groups", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = groups("*") }, want: `admissionReviewAPIGroups.authentication.k8s.io "*" is forbidden: User "` + web + `" cannot attest`},
		{name: "no value", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = groups() }, want: `spec.attestations[admissionReviewAPIGroups]: Invalid value: []: must specify a single value`},
		{name: "two values", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = groups("a", "b") }, want: `spec.attestations[admissionReviewAPIGroups]: Invalid value: ["a","b"]: must specify a single value`},
		{name: "empty value", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = groups("") }, want: `spec.attestations[admissionReviewAPIGroups][0]: Invalid value: "": may not be an empty string`},
		{name: "unknown key", mutate: func(s *authenticationv1.TokenRequestSpec) {
			s.Attestations["bogus"] = authenticationv1.AttestationValue{"x"}
		}, want: `webhook bound requests require exactly one admissionReviewAPIGroups attestation`},
		{name: "bound to a pod", mutate: func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef = new(bounds["Pod"].ref) }, want: onlyWebhooks},
		{name: "bound to a Secret", mutate: func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef = new(bounds["Secret"].ref) }, want: onlyWebhooks},
		{name: "not bound", mutate: func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef = nil }, want: onlyWebhooks},
		{name: "two audiences", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{webhookURL, "x"} }, want: `spec.audiences: Invalid value: ["https://hook.example","x"]: must be length 1 when bound to a webhook config`},
		{name: "wrong audience", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"https://other.example"} }, want: denied},
		{name: "API audience", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{"api"} }, want: "api server audiences are invalid for webhook token requests"},
		{name: "service with a slash", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Audiences = []string{webhookService + "/"} }, want: denied},
		{name: "no such webhook", mutate: func(s *authenticationv1.TokenRequestSpec) { s.BoundObjectRef.Name = "ghost" }, want: denied},
		{name: "group in no rule", mutate: func(s *authenticationv1.TokenRequestSpec) { s.Attestations = groups("batch") }, want: denied},
	} {
		s.names.Store(attest("batch"), true)
		for _, kind := range []string{validatingKind, mutatingKind} {
			tr := attested(kind)
			if tt.mutate != nil {
				tt.mutate(&tr.Spec)
			}
			if tt.account == "" {
				tt.account = "web"
			}
			_, err := s.admin.CoreV1().ServiceAccounts("shop").CreateToken(t.Context(), tt.account, tr, metav1.CreateOptions{})
			if want := strings.ReplaceAll(tt.want, "KIND", kind); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: got %v, want %q", tt.name, kind, err, want)
			}
		}
	}

	t.Run("all groups, with the permission", func(t *testing.T) {
		s.names.Store(attest("*"), true)
		tr := attested(validatingKind)
		tr.Spec.Attestations = groups("*")
		must(s.createToken(t, tr))(t)
		s.names.Delete(attest("*"))
		if _, err := s.createToken(t, tr); !apierrors.IsForbidden(err) {
			t.Errorf("got %v after the permission was revoked", err)
		}
	})
	t.Run("the configuration is deleted", func(t *testing.T) {
		for kind, all := range map[string]webhooks{validatingKind: validating, mutatingKind: mutating} {
			token := must(s.createToken(t, attested(kind)))(t).Status.Token
			hook := all["hook"].(metav1.Object)
			hook.SetDeletionTimestamp(&metav1.Time{Time: time.Now().Add(-2 * time.Minute)})
			if _, err := s.createToken(t, attested(kind)); err == nil || !strings.Contains(err.Error(), denied) {
				t.Errorf("%s: got %v while it is being deleted", kind, err)
			}
			delete(all, "hook")
			if s.review(t, token, webhookURL).Authenticated {
				t.Errorf("%s: valid after the deletion", kind)
			}
		}
	})
}

// Without storage of webhook configurations no token is bound to one.
func TestAttestationsDisabled(t *testing.T) {
	s, _ := newShop(t, nil)
	const want = "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"
	if _, err := s.createToken(t, attested(validatingKind)); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// A failure of the authorizer is a denial (REQ-43).
func TestAttest(t *testing.T) {
	for _, tt := range []struct {
		name        string
		decision    authorizer.Decision
		reason      string
		err         error
		wantAllowed bool
		wantReason  string
	}{
		{name: "allowed", decision: authorizer.DecisionAllow, err: errors.New("ignored"), wantAllowed: true},
		{name: "no opinion", decision: authorizer.DecisionNoOpinion, reason: "no rule", wantReason: "no rule"},
		{name: "failed", decision: authorizer.DecisionNoOpinion, err: errors.New("down"), wantReason: "down"},
		{name: "failed with a reason", decision: authorizer.DecisionDeny, reason: "no rule", err: errors.New("down"), wantReason: "down: no rule"},
	} {
		f := apiserver.Attest(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if a.GetVerb() != "attest" || a.GetAPIGroup() != "authentication.k8s.io" || a.GetResource() != "admissionReviewAPIGroups" || a.GetName() != "apps" || a.GetUser().GetName() != "u" {
				t.Errorf("%s: asked about %+v", tt.name, a)
			}
			return tt.decision, tt.reason, tt.err
		}))
		allowed, reason, err := f(t.Context(), authenticationv1.UserInfo{Username: "u"}, "apps")
		if allowed != tt.wantAllowed || reason != tt.wantReason || err != nil {
			t.Errorf("%s: got %v, %q, %v", tt.name, allowed, reason, err)
		}
	}
}
