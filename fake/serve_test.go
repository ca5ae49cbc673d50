package fake_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// askToken and askReview do what a client does.
func askToken(ctx context.Context, a *fake.Authority) (string, error) {
	answer, err := a.CreateToken(ctx, "default", "default", &authenticationv1.TokenRequest{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

func askReview(ctx context.Context, a *fake.Authority, token string) error {
	answer, err := a.Review(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}})
	if err == nil && !answer.Status.Authenticated {
		return errors.New("not authenticated: " + answer.Status.Error)
	}
	return err
}

// What a client does is one action; what the API server looks up for it has its actor.
func TestTokenCallsAreActions(t *testing.T) {
	a := newAuthority(t, fake.AuthorityConfig{})
	a.Cluster.ClearActions()
	ctx := fake.WithActor(t.Context(), "client")
	token, err := askToken(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if err := askReview(ctx, a, token); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateToken(ctx, "default", "ghost", &authenticationv1.TokenRequest{}); !apierrors.IsNotFound(err) {
		t.Errorf("CreateToken() for no account = %v, want NotFound", err)
	}
	want := `kube-apiserver: get serviceaccounts default/default
client: create serviceaccounts/token default/default
kube-apiserver: get serviceaccounts default/default
client: create tokenreviews
kube-apiserver: get serviceaccounts default/ghost: serviceaccounts "ghost" not found
client: create serviceaccounts/token default/ghost: serviceaccounts "ghost" not found
`
	if d := cmp.Diff(want, fake.FormatActions(a.Cluster.Actions())); d != "" {
		t.Errorf("actions (-want +got):\n%s", d)
	}
	if writes := a.Cluster.Writes(); len(writes) > 0 {
		t.Errorf("Writes() = %v, want none: nothing is stored", writes)
	}
}

func TestTokenCallsMeetFaults(t *testing.T) {
	newWorld := func(t *testing.T) (*fake.Authority, string) {
		a := newAuthority(t, fake.AuthorityConfig{})
		token, err := askToken(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		a.Cluster.ClearActions()
		return a, token
	}
	calls := map[string]func(ctx context.Context, a *fake.Authority, token string) error{
		"serviceaccounts/token": func(ctx context.Context, a *fake.Authority, _ string) error {
			_, err := askToken(ctx, a)
			return err
		},
		"tokenreviews": askReview,
	}
	for resource, call := range calls {
		t.Run(resource, func(t *testing.T) {
			t.Run("timeout", func(t *testing.T) {
				a, token := newWorld(t)
				a.Cluster.Inject(fault.Nth(1, "create", resource, fault.Timeout))
				if err := call(t.Context(), a, token); !apierrors.IsTimeout(err) {
					t.Errorf("the first call = %v, want a timeout", err)
				}
				if n := len(a.Cluster.Actions()); n != 1 {
					t.Errorf("%d actions, want 1: nothing was looked up", n)
				}
				if err := call(t.Context(), a, token); err != nil {
					t.Errorf("the second call = %v", err)
				}
			})
			t.Run("answer lost", func(t *testing.T) {
				a, token := newWorld(t)
				a.Cluster.Inject(fault.First(1, "create", resource, fault.AnswerLost))
				if err := call(t.Context(), a, token); !apierrors.IsTimeout(err) {
					t.Errorf("the call = %v, want a timeout", err)
				}
				if n := len(a.Cluster.Actions()); n != 2 {
					t.Errorf("%d actions, want 2: the call happened", n)
				}
			})
			t.Run("stale", func(t *testing.T) {
				a, token := newWorld(t)
				if err := a.Cluster.DeleteServiceAccount(t.Context(), "default", "default", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				a.Cluster.Inject(fault.First(1, "create", resource, fault.Stale(1)))
				if err := call(t.Context(), a, token); err != nil {
					t.Errorf("the stale call = %v, want none: it can't see the deletion", err)
				}
				if err := call(t.Context(), a, token); err == nil {
					t.Errorf("the call = nil, want an error: the account is deleted")
				}
			})
			t.Run("slow", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, token := newWorld(t)
					a.Cluster.Inject(fault.On("create", resource, fault.Slow(time.Minute)))
					start := time.Now()
					if err := call(t.Context(), a, token); err != nil || time.Since(start) != time.Minute {
						t.Errorf("the call took %s, error %v, want a minute", time.Since(start), err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := call(ctx, a, token); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the call with a deadline = %v, want DeadlineExceeded", err)
					}
				})
			})
			t.Run("what it looks up", func(t *testing.T) {
				a, token := newWorld(t)
				a.Cluster.Inject(fault.On("get", "serviceaccounts", fault.Timeout))
				if err := call(t.Context(), a, token); err == nil {
					t.Errorf("the call = nil, want an error")
				}
				if unfired := a.Cluster.Unfired(); len(unfired) > 0 {
					t.Errorf("Unfired() = %v", unfired)
				}
			})
		})
	}
}

// The documents and the webhook of an Authority meet faults as well.
func TestAuthorityServesFaults(t *testing.T) {
	body := func(token string) string {
		return `{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "` + token + `"}}`
	}
	for _, tt := range []struct{ method, path, verb, resource string }{
		{"GET", "/openid/v1/jwks", "get", "/openid/v1/jwks"},
		{"GET", "/.well-known/openid-configuration", "get", "/.well-known/openid-configuration"},
		{"POST", "/authenticate", "create", "tokenreviews"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			a := newAuthority(t, fake.AuthorityConfig{})
			token, err := askToken(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			do := func() *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(body(token)))
				r.Header.Set("Content-Type", "application/json")
				a.ServeHTTP(w, r)
				return w
			}
			a.Cluster.ClearActions()
			a.Cluster.Inject(fault.Nth(1, tt.verb, tt.resource, fault.Timeout))
			a.Cluster.Inject(fault.Nth(2, tt.verb, tt.resource, fault.After(errors.New("cut off"))))
			w := do()
			var status metav1.Status
			if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || w.Code != http.StatusGatewayTimeout || status.Reason != metav1.StatusReasonTimeout {
				t.Errorf("first: %d %s", w.Code, w.Body)
			}
			if w := do(); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "cut off") || strings.Contains(w.Body.String(), `"keys"`) {
				t.Errorf("second: %d %s", w.Code, w.Body)
			}
			if w := do(); w.Code != http.StatusOK || w.Header().Get("Content-Type") == "" || w.Body.Len() == 0 {
				t.Errorf("third: %d %s", w.Code, w.Body)
			}
			if unfired := a.Cluster.Unfired(); len(unfired) > 0 {
				t.Errorf("Unfired() = %v", unfired)
			}
			calls := 0
			for _, action := range a.Cluster.Actions() {
				if action.Verb == tt.verb && action.Resource == tt.resource {
					calls++
				}
			}
			if calls != 3 {
				t.Errorf("%d actions, want 3:\n%s", calls, fake.FormatActions(a.Cluster.Actions()))
			}
		})
	}
}

func TestDo(t *testing.T) {
	c := newCI(t)
	op := fault.Op{Verb: "create", Resource: "pods", Subresource: "binding", Namespace: "ci", Name: "p"}
	failed := errors.New("failed")
	if err := c.Do(t.Context(), op, func(context.Context) error { return failed }); err != failed {
		t.Errorf("Do() = %v, want what the function returns", err)
	}
	if err := c.Do(t.Context(), fault.Op{Verb: "create", Resource: "pods", Subresource: "log"}, nil); err == nil || err.Error() != "fake: the API has no create of pods/log" {
		t.Errorf("Do() of no call = %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(canceled, op, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Do() with a canceled context = %v", err)
	}
	// The reads of another Cluster aren't stale.
	other := newCI(t, &corev1.Secret{ObjectMeta: meta("ci", "s")})
	c.Inject(fault.On("create", "serviceaccounts/token", fault.Stale(1000)))
	err := c.Do(t.Context(), fault.Op{Verb: "create", Resource: "serviceaccounts", Subresource: "token"}, func(ctx context.Context) error {
		_, err := other.GetSecret(ctx, "ci", "s")
		return err
	})
	if err != nil {
		t.Errorf("the read of another cluster = %v", err)
	}
	if got := fake.FormatActions(c.Actions()); got != "create pods/binding ci/p: failed\ncreate serviceaccounts/token [fault: every create serviceaccounts/token: 1000 revisions behind]\n" {
		t.Errorf("actions:\n%s", got)
	}
	// A panic leaves the Cluster usable.
	func() {
		defer func() { _ = recover() }()
		_ = c.Do(t.Context(), op, func(context.Context) error { panic("no") })
	}()
	if _, err := c.ListPods(t.Context(), "ci"); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

// A deletecollection is one call, of a client; so is a get of a subresource.
func TestCollectionsAndSubresources(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"), &corev1.Node{ObjectMeta: meta("", "n")})
	ctx := fake.WithActor(t.Context(), "client")
	c.Inject(fault.Nth(1, "deletecollection", "secrets", fault.Timeout))
	secrets := c.CoreV1().Secrets("ci")
	if err := secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); !apierrors.IsTimeout(err) {
		t.Errorf("DeleteCollection() = %v, want a timeout", err)
	}
	if err := secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Errorf("DeleteCollection() again = %v", err)
	}
	if err := c.CoreV1().Namespaces().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("DeleteCollection() of Namespaces = %v, want 405", err)
	}
	if _, err := c.Resource("nodes").GetSubresource(ctx, "", "n", "status"); err != nil {
		t.Errorf("GetSubresource() = %v", err)
	}
	if _, err := c.Resource("nodes").GetSubresource(ctx, "", "n", "token"); !apierrors.IsNotFound(err) {
		t.Errorf("GetSubresource() of none = %v, want NotFound", err)
	}
	want := `client: deletecollection secrets ci: Timeout: request did not complete within the allowed duration [fault: call 1 of deletecollection secrets: timeout]
kube-apiserver: list secrets ci
kube-apiserver: delete secrets ci/a
kube-apiserver: delete secrets ci/b
client: deletecollection secrets ci
client: get nodes/status n
`
	if d := cmp.Diff(want, fake.FormatActions(c.Actions())); d != "" {
		t.Errorf("actions (-want +got):\n%s", d)
	}
}
