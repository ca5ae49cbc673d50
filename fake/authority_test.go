package fake_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

func newAuthority(t *testing.T, cfg fake.AuthorityConfig) *fake.Authority {
	t.Helper()
	a, err := fake.NewAuthority(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

func requestToken(t *testing.T, a *fake.Authority, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	answer, err := a.CreateToken(t.Context(), "default", "default", &authenticationv1.TokenRequest{Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func review(a *fake.Authority, token string) authenticationv1.TokenReviewStatus {
	review, err := a.Review(context.Background(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}})
	if err != nil {
		return authenticationv1.TokenReviewStatus{Error: err.Error()}
	}
	return review.Status
}

// The whole life of a token, by the test's clock and the cluster's objects.
func TestAuthority(t *testing.T) {
	a := newAuthority(t, fake.AuthorityConfig{})
	pod, err := a.Cluster.CreatePod(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	unbound := requestToken(t, a, authenticationv1.TokenRequestSpec{})
	bound := requestToken(t, a, authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "web", UID: pod.UID},
	})
	for _, token := range []string{unbound, bound} {
		if status := review(a, token); !status.Authenticated || status.User.Username != "system:serviceaccount:default:default" {
			t.Errorf("got %+v, want the account", status)
		}
	}
	if err := a.Cluster.DeletePod(t.Context(), "default", "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if status := review(a, bound); status.Authenticated {
		t.Error("the token of a pod that is gone was accepted")
	}
	a.Advance(59 * time.Minute)
	if status := review(a, unbound); !status.Authenticated {
		t.Errorf("got %+v before the token expires", status)
	}
	a.Advance(3 * time.Minute)
	if status := review(a, unbound); status.Authenticated {
		t.Error("an expired token was accepted")
	}
	if _, err := a.CreateToken(t.Context(), "default", "ghost", &authenticationv1.TokenRequest{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v for an account that isn't there, want NotFound", err)
	}
}

func TestAuthorityFillsSecrets(t *testing.T) {
	a := newAuthority(t, fake.AuthorityConfig{RootCA: []byte("ca")})
	_, err := a.Cluster.CreateSecret(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "manual", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret, err := tokensource.WaitPopulated(t.Context(), a.Cluster, "default", "manual", tokensource.WaitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.Advance(10 * 365 * 24 * time.Hour)
	if status := review(a, string(secret.Data["token"])); !status.Authenticated {
		t.Errorf("got %+v, want that the token of a Secret doesn't expire", status)
	}
	if string(secret.Data["ca.crt"]) != "ca" {
		t.Errorf("ca.crt is %q", secret.Data["ca.crt"])
	}
}

// Keys are rotated on the clock of the Authority, and a verifier elsewhere
// follows through discovery.
func TestAuthorityRotation(t *testing.T) {
	a := newAuthority(t, fake.AuthorityConfig{})
	server := httptest.NewServer(a)
	defer server.Close()
	remote, err := discovery.NewRemote(discovery.RemoteConfig{JWKSURL: server.URL + discovery.JWKSPath, InsecureAllowHTTP: true, Now: a.Now})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{fake.AuthorityIssuer}, APIAudiences: []string{fake.AuthorityIssuer}, Keys: remote, ServiceAccounts: a.Cluster, Now: a.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	accepted := func(token string) {
		t.Helper()
		if _, err := elsewhere.Authenticate(t.Context(), token); err != nil {
			t.Errorf("refused elsewhere: %v", err)
		}
	}
	old := requestToken(t, a, authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(24 * 60 * 60))})
	accepted(old)
	key, err := keys.Generate(keys.ES384)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Keys.Add(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	early, ok := errors.AsType[*keyring.StepError](a.Keys.Promote(t.Context(), id))
	if !ok || early.Reason != keyring.ReasonTooEarly {
		t.Fatalf("got %v, want that it is too early", early)
	}
	a.Advance(early.Earliest.Sub(a.Now()))
	if err := a.Keys.Promote(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	accepted(requestToken(t, a, authenticationv1.TokenRequestSpec{}))
	accepted(old)
}

func TestAuthorityHandler(t *testing.T) {
	a := newAuthority(t, fake.AuthorityConfig{})
	token := requestToken(t, a, authenticationv1.TokenRequestSpec{})
	post := func(path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	body := `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"` + token + `"}}`
	if w := post("/authenticate", body); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"authenticated":true`) || strings.Contains(w.Body.String(), token) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := post("/other", body); w.Code != http.StatusNotFound {
		t.Errorf("got %d for an unknown path", w.Code)
	}
}

func TestNewAuthorityRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  fake.AuthorityConfig
		want []string // fields
	}{
		{"http", fake.AuthorityConfig{Issuer: "http://issuer.example"}, []string{"Issuer"}},
		{"legacy issuer", fake.AuthorityConfig{Issuer: tokens.LegacyIssuer}, []string{"Issuer"}},
		{"no audience", fake.AuthorityConfig{APIAudiences: []string{""}}, []string{"APIAudiences[0]"}},
		{"short lifetime", fake.AuthorityConfig{MaxLifetime: time.Minute}, []string{"MaxLifetime"}},
		{"negative lifetime", fake.AuthorityConfig{MaxLifetime: -time.Hour}, []string{"MaxLifetime"}},
		{"all", fake.AuthorityConfig{Issuer: "http://issuer.example", APIAudiences: []string{""}, Key: ed25519.PrivateKey(make([]byte, ed25519.PrivateKeySize)), MaxLifetime: 1}, []string{"APIAudiences[0]", "MaxLifetime", "Key", "Issuer"}},
	} {
		a, err := fake.NewAuthority(tt.cfg)
		if a != nil {
			t.Errorf("%s: got an Authority, want an error", tt.name)
		}
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				e, ok := errors.AsType[*fake.ConfigError](err)
				if !ok || e.Config != "fake.AuthorityConfig" {
					t.Errorf("%s: got %v, want a ConfigError of fake.AuthorityConfig", tt.name, err)
					continue
				}
				got = append(got, e.Field)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got mistakes in %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}
