package tokenreview_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

func reviewOf(token string, audiences ...string) *authenticationv1.TokenReview {
	return &authenticationv1.TokenReview{
		TypeMeta:   metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
		Spec:       authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}
}

// REV-2, REV-3, REV-6..11, REV-16, H11, H13, V14
func TestReview(t *testing.T) {
	claims := tokentest.BoundClaims()
	claims["aud"] = []string{api, "vault"}
	token := tokentest.Mint(t, ecKey, claims)
	builder := authenticationv1.UserInfo{
		Username: "system:serviceaccount:ci:builder", UID: "uid-of-builder",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ci"},
		Extra: map[string]authenticationv1.ExtraValue{
			userinfo.ExtraCredentialID: {"JTI=id-1"}, userinfo.ExtraPodName: {"job"}, userinfo.ExtraPodUID: {"uid-of-job"},
			userinfo.ExtraNodeName: {"worker"}, userinfo.ExtraNodeUID: {"uid-of-worker"},
		},
	}
	legacy := tokentest.Mint(t, ecKey, tokentest.LegacyClaims())
	legacyBuilder := builder
	legacyBuilder.Extra = map[string]authenticationv1.ExtraValue{} // REV-8: never nil
	foreign := tokentest.BoundClaims()
	foreign["iss"] = "https://elsewhere"
	many := make([]string, 1000)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	many[500] = "vault"

	good := func(user authenticationv1.UserInfo, audiences ...string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Authenticated: true, User: user, Audiences: audiences}
	}
	fails := func(text string) authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Error: text}
	}
	tests := []struct {
		name   string
		review *authenticationv1.TokenReview
		change func(*tokentest.World)
		want   authenticationv1.TokenReviewStatus
	}{
		{"no audiences", reviewOf(token), nil, good(builder, api)},
		{"one audience", reviewOf(token, "vault"), nil, good(builder, "vault")},
		{"some of the audiences", reviewOf(token, "x", "vault", api), nil, good(builder, "vault", api)},
		{"1000 audiences", reviewOf(token, many...), nil, good(builder, "vault")},
		{"legacy", reviewOf(legacy), nil, good(legacyBuilder, api, "api.internal")},
		{"other audience", reviewOf(token, "x"), nil, fails("tokens: token audiences are invalid for the target audiences")},
		{"no token", reviewOf(""), nil, fails("token is required for TokenReview in authentication")},
		{"namespace", func() *authenticationv1.TokenReview { r := reviewOf(token); r.Namespace = "ci"; return r }(), nil, fails("namespace is not allowed on this type")},
		{"nothing", nil, nil, fails("token is required for TokenReview in authentication")},
		{"not a token", reviewOf("opaque"), nil, fails("")},
		{"a space in the token", reviewOf(token + " x"), nil, fails("")},
		{"foreign issuer", reviewOf(tokentest.Mint(t, ecKey, foreign)), nil, fails("")},
		{"bad signature", reviewOf(tokentest.Mint(t, otherKey, tokentest.BoundClaims())), nil, fails("tokens: invalid signature, no keys found")},
		{"no pod", reviewOf(token), func(w *tokentest.World) { delete(w.Pods, "ci/job") }, fails("tokens: service account token has been invalidated: its Pod is gone")},
		{"another pod", reviewOf(token), func(w *tokentest.World) { w.Pods["ci/job"].UID = "x" }, fails("tokens: service account token has been invalidated: its Pod is gone")},
		{"backend down", reviewOf(token), func(w *tokentest.World) { w.Err = errors.New("dial tcp 10.0.0.1: refused") }, fails("tokens: the token could not be verified, try again")},
		{"status of the request", func() *authenticationv1.TokenReview {
			r := reviewOf("opaque")
			r.Status = good(builder, api)
			return r
		}(), nil, fails("")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			w.Secrets["ci/builder-token"].Data["token"] = []byte(legacy)
			if tt.change != nil {
				tt.change(w)
			}
			before := tt.review.DeepCopy()
			got := tokenreview.Review(t.Context(), tt.review, tokentest.NewAuthenticator(t, w, nil))
			if diff := cmp.Diff(before, tt.review); diff != "" {
				t.Errorf("Review() changed the review (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got.Status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if got.Spec.Token != "" {
				t.Error("the answer holds the token")
			}
			if before != nil && (got.Kind != "TokenReview" || got.Labels["a"] != "b" || !cmp.Equal(got.Spec.Audiences, before.Spec.Audiences)) {
				t.Errorf("the answer is %+v, want the rest of the review in it", got)
			}
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := tokenreview.Review(ctx, reviewOf(token), tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)); got.Status.Authenticated || !strings.Contains(got.Status.Error, "try again") {
		t.Errorf("Review() of a cancelled context = %+v", got.Status)
	}
	for name, verifier := range map[string]tokens.Verifier{"no": nil, "a silent": silent{}} {
		if got := tokenreview.Review(t.Context(), reviewOf(token), verifier); got.Status.Authenticated || got.Status.Error != "tokens: the token could not be verified, try again" {
			t.Errorf("Review() with %s Verifier = %+v", name, got.Status)
		}
	}
}

// A silent Verifier returns neither an Identity nor an error.
type silent struct{}

func (silent) Authenticate(context.Context, string, ...string) (*tokens.Identity, error) {
	return nil, nil
}

// V02: issuers that don't trust each other have an Authenticator each, and the
// key of one is nothing to the other, even under the same key id.
func TestReviewByIssuers(t *testing.T) {
	const otherIssuer = "https://other.example"
	other := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
		cfg.Issuers, cfg.Legacy = []string{otherIssuer}, false
		cfg.Keys = tokentest.SourceFunc(func() []keys.PublicKey { return []keys.PublicKey{{ID: "shared", Key: otherKey.Public()}} })
	})
	first := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
		cfg.Keys = tokentest.SourceFunc(func() []keys.PublicKey { return []keys.PublicKey{{ID: "shared", Key: ecKey.Public()}} })
	})
	h := newHandler(must(tokens.NewChain(first, other)), tokenreview.HandlerConfig{})
	foreign := tokentest.BoundClaims()
	foreign["iss"] = otherIssuer
	for range 2 { // the second time from the signature caches
		for _, tt := range []struct {
			name, token, want string
		}{
			{"first", tokentest.MintAs(t, ecKey, "shared", tokentest.BoundClaims()), `"authenticated":true`},
			{"other", tokentest.MintAs(t, otherKey, "shared", foreign), `"authenticated":true`},
			{"first's issuer, other's key", tokentest.MintAs(t, otherKey, "shared", tokentest.BoundClaims()), "invalid signature"},
			{"other's issuer, first's key", tokentest.MintAs(t, ecKey, "shared", foreign), "invalid signature"},
			{"nobody's", "opaque", `"status":{"user":{}}`},
		} {
			if got := postReview(h, reviewBody(tt.token)).Body.String(); !strings.Contains(got, tt.want) {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}
