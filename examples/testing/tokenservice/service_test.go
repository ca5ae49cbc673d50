package tokenservice_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/examples/testing/tokenservice"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A world has the account shop/cart, the Pod cart-1 that runs as it, and the
// Secret session in the same namespace.
type world struct {
	*fake.Authority
	service http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "session"}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1"},
			Spec:       corev1.PodSpec{ServiceAccountName: "cart", Containers: []corev1.Container{{Name: "main", Image: "example.com/cart"}}},
		},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	return &world{authority, tokenservice.New(authority.Authenticator)}
}

// token returns a token for the audience; kind and name are what it is bound to,
// besides its account.
func (w *world) token(t *testing.T, audience, kind, name string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if kind != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
	}
	answer, err := w.CreateToken(t.Context(), "shop", "cart", request)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// call asks the service who has the token.
func (w *world) call(t *testing.T, token string) (status int, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/whoami", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	w.service.ServeHTTP(recorder, r)
	return recorder.Code, strings.TrimSpace(recorder.Body.String())
}

// A token holds until something happens.
func TestService(t *testing.T) {
	tests := []struct {
		name       string
		audience   string // if it isn't the service's
		kind, of   string // what the token is bound to
		happens    func(*testing.T, *world) error
		wantStatus int
		wantBody   string
	}{
		{name: "good", wantStatus: http.StatusOK, wantBody: "shop/cart"},
		{name: "bound to a Pod", kind: "Pod", of: "cart-1", wantStatus: http.StatusOK, wantBody: "shop/cart"},
		{name: "bound to a Secret", kind: "Secret", of: "session", wantStatus: http.StatusOK, wantBody: "shop/cart"},
		{name: "made for somebody else", audience: "https://vault.example", wantStatus: http.StatusUnauthorized},
		{
			name:       "just before it expires",
			happens:    func(_ *testing.T, w *world) error { w.Advance(time.Hour - time.Second); return nil },
			wantStatus: http.StatusOK, wantBody: "shop/cart",
		},
		{
			name:       "expired",
			happens:    func(_ *testing.T, w *world) error { w.Advance(time.Hour + 2*time.Minute); return nil }, // clocks may differ by one
			wantStatus: http.StatusUnauthorized, wantBody: "tokens: service account token has expired",
		},
		{
			name: "the account is deleted",
			happens: func(t *testing.T, w *world) error {
				return w.Cluster.DeleteServiceAccount(t.Context(), "shop", "cart", metav1.DeleteOptions{})
			},
			wantStatus: http.StatusUnauthorized,
		},
		{
			name: "the account is deleted and made again",
			happens: func(t *testing.T, w *world) error {
				if err := w.Cluster.DeleteServiceAccount(t.Context(), "shop", "cart", metav1.DeleteOptions{}); err != nil {
					return err
				}
				_, err := w.Cluster.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}})
				return err
			},
			wantStatus: http.StatusUnauthorized,
		},
		{
			name: "its Pod is deleted", kind: "Pod", of: "cart-1",
			happens: func(t *testing.T, w *world) error {
				return w.Cluster.DeletePod(t.Context(), "shop", "cart-1", metav1.DeleteOptions{})
			},
			wantStatus: http.StatusUnauthorized,
		},
		{
			name: "its Secret is deleted", kind: "Secret", of: "session",
			happens: func(t *testing.T, w *world) error {
				return w.Cluster.DeleteSecret(t.Context(), "shop", "session", metav1.DeleteOptions{})
			},
			wantStatus: http.StatusUnauthorized,
		},
		{
			name: "another Pod is deleted",
			happens: func(t *testing.T, w *world) error {
				return w.Cluster.DeletePod(t.Context(), "shop", "cart-1", metav1.DeleteOptions{})
			},
			wantStatus: http.StatusOK, wantBody: "shop/cart",
		},
		{
			name: "nobody knows about the account right now",
			happens: func(_ *testing.T, w *world) error {
				w.Cluster.Inject(fault.On("get", "serviceaccounts", fault.Timeout))
				return nil
			},
			wantStatus: http.StatusServiceUnavailable, wantBody: "try again later",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			audience := tokenservice.Audience
			if tt.audience != "" {
				audience = tt.audience
			}
			token := w.token(t, audience, tt.kind, tt.of)
			if tt.happens != nil {
				if status, body := w.call(t, token); status != http.StatusOK {
					t.Fatalf("before anything happens the service answers %d %q", status, body)
				}
				if err := tt.happens(t, w); err != nil {
					t.Fatal(err)
				}
			}
			status, body := w.call(t, token)
			if status != tt.wantStatus || tt.wantBody != "" && body != tt.wantBody {
				t.Errorf("the service answers %d %q, want %d %q", status, body, tt.wantStatus, tt.wantBody)
			}
			if strings.Contains(body, token) {
				t.Error("the answer shows the token")
			}
		})
	}
}

func TestNoToken(t *testing.T) {
	w := newWorld(t)
	for _, token := range []string{"", "fake-token", "a.b.c"} {
		if status, _ := w.call(t, token); status != http.StatusUnauthorized {
			t.Errorf("with the token %q the service answers %d, want %d", token, status, http.StatusUnauthorized)
		}
	}
}

// Callers don't notice that the key is replaced: the ring says when each step is
// safe, and the test moves the clock there.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Keys.Add(ctx, key); err != nil {
		t.Fatal(err)
	}
	token := w.token(t, tokenservice.Audience, "", "")
	for _, step := range []keyring.Action{keyring.Promote, keyring.Retire} {
		_, later := w.Keys.Plan(w.Now())
		if len(later) != 1 || later[0].Action != step {
			t.Fatalf("the ring plans %+v, want to %s", later, step)
		}
		if err := w.Keys.Take(ctx, later[0]); err == nil {
			t.Errorf("to %s is possible too early", step)
		}
		w.Advance(later[0].Earliest.Sub(w.Now()))
		if step == keyring.Retire {
			token = w.token(t, tokenservice.Audience, "", "") // as clients do, long before it expires
		}
		if err := w.Keys.Take(ctx, later[0]); err != nil {
			t.Fatal(err)
		}
		if step == keyring.Promote {
			token = w.token(t, tokenservice.Audience, "", "")
		}
		if status, body := w.call(t, token); status != http.StatusOK {
			t.Errorf("after the step to %s the service answers %d %q", step, status, body)
		}
	}
}

// A key that was stolen is revoked at once, and so are its tokens.
func TestStolenKey(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	stolen := w.Keys.Keys()[0].ID
	before := w.token(t, tokenservice.Audience, "", "")
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Keys.Add(ctx, key); err != nil {
		t.Fatal(err)
	}
	if err := w.Keys.Revoke(ctx, stolen); err != nil { // the new key takes over
		t.Fatal(err)
	}
	if status, _ := w.call(t, before); status != http.StatusUnauthorized {
		t.Errorf("to a token of the stolen key the service answers %d, want %d", status, http.StatusUnauthorized)
	}
	if status, body := w.call(t, w.token(t, tokenservice.Audience, "", "")); status != http.StatusOK {
		t.Errorf("to a new token the service answers %d %q, want %d", status, body, http.StatusOK)
	}
}
