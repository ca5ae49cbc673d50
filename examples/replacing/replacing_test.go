package replacing_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/examples/replacing"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// A cluster with the account ci/builder and a pod of it.
func newCluster(t *testing.T) *fake.Authority {
	t.Helper()
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job"}, Spec: corev1.PodSpec{ServiceAccountName: "builder", Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func issue(t *testing.T, authority *fake.Authority, audience string, seconds int64, bound bool) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds}}
	if bound {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "job"}
	}
	tr, err := authority.CreateToken(t.Context(), "ci", "builder", request)
	if err != nil {
		t.Fatal(err)
	}
	return tr.Status.Token
}

func reviewer(t *testing.T, authority *fake.Authority) tokens.Verifier {
	t.Helper()
	v, err := replacing.NewReviewer(tokenreview.CreatorFunc(authority.Review), "vault")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReviewer(t *testing.T) {
	authority := newCluster(t)
	v := reviewer(t, authority)
	token := issue(t, authority, "vault", 600, true)
	id, err := v.Authenticate(t.Context(), token)
	if err != nil || id.Namespace != "ci" || id.Name != "builder" || id.UID == "" || id.Pod.Name != "job" {
		t.Errorf("Authenticate() = %v, %v, want ci/builder in its pod", id, err)
	}
	if _, err := v.Authenticate(t.Context(), issue(t, authority, fake.AuthorityIssuer, 600, false)); err == nil {
		t.Error("a token for the API server was accepted")
	}
	if err := authority.Cluster.DeleteServiceAccount(t.Context(), "ci", "builder", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Authenticate(t.Context(), token); err == nil {
		t.Error("the token of a deleted account was accepted")
	}
}

func TestJoinWithJWKS(t *testing.T) {
	authority := newCluster(t)
	w := httptest.NewRecorder()
	authority.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openid/v1/jwks", nil))
	jwks := w.Body.Bytes()
	if !json.Valid(jwks) {
		t.Fatalf("no JWKS: %s", jwks)
	}
	for _, tt := range []struct {
		name, token, cluster string
		subject              string // of the error's Policy; "-" for another error
	}{
		{name: "good", token: issue(t, authority, "teleport", 600, true), cluster: "teleport"},
		{name: "another cluster's", token: issue(t, authority, "teleport", 600, true), cluster: "other", subject: "-"},
		{name: "not bound to a pod", token: issue(t, authority, "teleport", 600, false), cluster: "teleport", subject: "Pod"},
		{name: "lives too long", token: issue(t, authority, "teleport", 3600, true), cluster: "teleport", subject: "lifetime"},
		{name: "no token", token: "x", cluster: "teleport", subject: "-"},
	} {
		id, err := replacing.JoinWithJWKS(t.Context(), jwks, fake.AuthorityIssuer, tt.cluster, tt.token, authority.Now)
		if tt.subject == "" {
			if err != nil || id.Pod.Name != "job" {
				t.Errorf("%s: JoinWithJWKS() = %v, %v", tt.name, id, err)
			}
			continue
		}
		if e, ok := errors.AsType[*tokens.InvalidError](err); err == nil || tt.subject != "-" && (!ok || e.Subject != tt.subject) {
			t.Errorf("%s: JoinWithJWKS() = %v, %v, want the subject %s", tt.name, id, err, tt.subject)
		}
	}
	if _, err := replacing.JoinWithJWKS(t.Context(), []byte("{"), "https://a", "b", "c", nil); err == nil {
		t.Error("a broken JWKS is accepted")
	}
}

func TestMetricsFilter(t *testing.T) {
	authority := newCluster(t)
	var down error
	filter, err := replacing.NewMetricsFilter(reviewer(t, authority), func(_ context.Context, username string, groups []string, verb, path string) (bool, error) {
		return username == "system:serviceaccount:ci:builder" && len(groups) == 3 && verb == "get" && path == "/metrics", down
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := filter(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	ask := func(path, token string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	token := issue(t, authority, "vault", 600, true)
	for _, tt := range []struct {
		path, token string
		down        error
		want        int
	}{
		{"/metrics", token, nil, 200}, {"/debug", token, nil, 403}, {"/metrics", "", nil, 401}, {"/metrics", "x", nil, 401}, {"/metrics", token, errors.New("down"), 503},
	} {
		down = tt.down
		if got := ask(tt.path, tt.token); got != tt.want {
			t.Errorf("%s with %.5q: %d, want %d", tt.path, tt.token, got, tt.want)
		}
	}
}

// A filled is a cluster whose token controller runs after each write.
type filled struct {
	*fake.Cluster
	authority *fake.Authority
}

func (f *filled) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	created, err := f.Cluster.CreateSecret(ctx, secret)
	if err == nil {
		err = f.authority.Settle(ctx)
	}
	return created, err
}

func TestBearerToken(t *testing.T) {
	authority := newCluster(t)
	client := &filled{authority.Cluster, authority}
	token, err := replacing.BearerToken(t.Context(), client, "ci", "builder")
	if err != nil || token == "" {
		t.Fatalf("BearerToken() = %q, %v", token, err)
	}
	if again, err := replacing.BearerToken(t.Context(), client, "ci", "builder"); err != nil || again != token {
		t.Errorf("again, BearerToken() = %v, want the same token", err)
	}
	old, err := client.GetSecret(t.Context(), "ci", "builder-long-lived-token")
	if err != nil {
		t.Fatal(err)
	}
	saved := ""
	if err := replacing.RotateBearerToken(t.Context(), client, old, func(_ context.Context, token string) error { saved = token; return nil }); err != nil || saved == "" || saved == token {
		t.Errorf("RotateBearerToken() = %v, saved another token: %v", err, saved != token)
	}
	if _, err := client.GetSecret(t.Context(), "ci", old.Name); err == nil {
		t.Error("the old Secret is still there")
	}
}

func TestTokenRequestor(t *testing.T) {
	target, source := newCluster(t), fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shoot"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shoot", Name: "s", Annotations: map[string]string{
			"serviceaccount.resources.gardener.cloud/name": "builder", "serviceaccount.resources.gardener.cloud/namespace": "ci", "serviceaccount.resources.gardener.cloud/token-expiration-duration": "1h",
		}}},
	)
	source.Now = target.Now
	minted := 0
	controller, err := replacing.NewTokenRequestor(source, func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
		minted++
		return target.CreateToken(ctx, namespace, name, request)
	}, "gardener", target.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after  time.Duration
		minted int
	}{{0, 1}, {30 * time.Minute, 1}, {20 * time.Minute, 2}} {
		target.Advance(tt.after)
		if err := source.Settle(t.Context(), controller); err != nil || minted != tt.minted {
			t.Errorf("after %v: Settle() = %v, %d tokens, want %d", tt.after, err, minted, tt.minted)
		}
		secret, err := source.GetSecret(t.Context(), "shoot", "s")
		if err != nil {
			t.Fatal(err)
		}
		if id, err := target.Authenticator.Authenticate(t.Context(), string(secret.Data["token"]), "gardener"); err != nil || id.Name != "builder" {
			t.Errorf("after %v: the token in the Secret: %v, %v", tt.after, id, err)
		}
	}
}
