package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A cachedAuthenticator tells of each judgement whether the signature was
// remembered.
type cachedAuthenticator struct {
	*tokens.Authenticator
	cached bool // of the last judgement
	event  tokens.Event
	now    time.Time
}

func newCachedAuthenticator(t testing.TB, w *tokentest.World, change func(*tokens.AuthenticatorConfig)) *cachedAuthenticator {
	t.Helper()
	a := &cachedAuthenticator{now: now}
	a.Authenticator = tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
		cfg.Observe = func(_ context.Context, e tokens.Event) { a.cached, a.event = e.SignatureCached, e }
		cfg.Now = func() time.Time { return a.now }
		if change != nil {
			change(cfg)
		}
	})
	return a
}

// warm authenticates token twice, so that its signature is remembered.
func (a *cachedAuthenticator) warm(t testing.TB, token string) {
	t.Helper()
	for i := range 2 {
		if _, err := a.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if a.cached != (i > 0) {
			t.Fatalf("signature remembered at use %d: %v", i, a.cached)
		}
	}
}

// V13: what happens to an object is noticed at the next call although the
// signature is remembered.
func TestCacheLooksObjectsUp(t *testing.T) {
	for _, d := range dependencies {
		for name, change := range map[string]func(*tokentest.World){
			"removed":   d.remove,
			"recreated": func(w *tokentest.World) { d.meta(w).UID = "another" },
			"deleted":   func(w *tokentest.World) { d.meta(w).DeletionTimestamp = &metav1.Time{Time: now.Add(-61 * time.Second)} },
			"unknown":   func(w *tokentest.World) { w.Err = errors.New("etcd is down") },
		} {
			t.Run(d.kind+" "+name, func(t *testing.T) {
				w := tokentest.NewWorld()
				a := newCachedAuthenticator(t, w, nil)
				claims := tokentest.BoundClaims()
				d.bind(claims)
				token := tokentest.Mint(t, ecKey, claims)
				a.warm(t, token)
				change(w)
				id, err := a.Authenticate(t.Context(), token)
				if id != nil || err == nil || !a.cached {
					t.Fatalf("Authenticate() = %v, %v, signature remembered %v, want an error in spite of the cache", id, err, a.cached)
				}
			})
		}
	}
}

// V13: a legacy token, through the cache.
func TestCacheLooksLegacyObjectsUp(t *testing.T) {
	for name, change := range map[string]func(*tokentest.World, *corev1.Secret){
		"secret removed": func(w *tokentest.World, _ *corev1.Secret) { delete(w.Secrets, "ci/builder-token") },
		"secret changed": func(_ *tokentest.World, s *corev1.Secret) { s.Data["token"] = []byte("x") },
		"secret marked": func(_ *tokentest.World, s *corev1.Secret) {
			s.Labels = map[string]string{tokens.InvalidSinceLabel: "2026-01-01"}
		},
		"account removed":  func(w *tokentest.World, _ *corev1.Secret) { delete(w.Accounts, "ci/builder") },
		"account replaced": func(w *tokentest.World, _ *corev1.Secret) { w.Accounts["ci/builder"].UID = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			w := tokentest.NewWorld()
			token := tokentest.Mint(t, ecKey, tokentest.LegacyClaims())
			w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
			a := newCachedAuthenticator(t, w, nil)
			a.warm(t, token)
			change(w, w.Secrets["ci/builder-token"])
			if id, err := a.Authenticate(t.Context(), token); err == nil || !a.cached {
				t.Fatalf("Authenticate() = %v, %v, signature remembered %v, want an error in spite of the cache", id, err, a.cached)
			}
		})
	}
}

// V13: times and audiences are judged every time.
func TestCacheJudgesTimesAndAudiences(t *testing.T) {
	a := newCachedAuthenticator(t, tokentest.NewWorld(), nil)
	claims := tokentest.BoundClaims()
	claims["aud"] = []string{api, "vault"}
	token := tokentest.Mint(t, ecKey, claims)
	a.warm(t, token)
	id, err := a.Authenticate(t.Context(), token, "vault")
	if err != nil || !slices.Equal(id.Audiences, []string{"vault"}) {
		t.Fatalf("Authenticate() = %v, %v, want the audience asked for", id, err)
	}
	_, err = a.Authenticate(t.Context(), token, "other")
	wantInvalid(t, err, tokens.ReasonAudience, "")
	a.now = now.Add(time.Hour + tokens.DeletionGracePeriod)
	if _, err := a.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	a.now = a.now.Add(1)
	_, err = a.Authenticate(t.Context(), token)
	wantInvalid(t, err, tokens.ReasonExpired, "")
	if !a.cached {
		t.Error("the signature was checked again, want it remembered")
	}
	a.now = now.Add(-tokens.DeletionGracePeriod - 1)
	_, err = a.Authenticate(t.Context(), token)
	wantInvalid(t, err, tokens.ReasonNotYetValid, "")
}

// A keySwitch is a Source that can be changed.
type keySwitch struct{ keys.Source }

// V13, V18: a signature that is remembered counts only as long as the very key that
// made it is there.
func TestCacheForgetsKeys(t *testing.T) {
	set := must(keys.NewSet(ecKey, rsaKey))
	source := &keySwitch{set}
	a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Keys = source })
	token, other := tokentest.Mint(t, ecKey, tokentest.BoundClaims()), tokentest.Mint(t, rsaKey, tokentest.BoundClaims())
	nameless := tokentest.MintAs(t, rsaKey, "", tokentest.BoundClaims())
	a.warm(t, token)
	a.warm(t, other)
	a.warm(t, nameless)

	source.Source = must(keys.NewSet(otherKey))
	_, err := a.Authenticate(t.Context(), token)
	wantInvalid(t, err, tokens.ReasonUnknownKey, "")
	_, err = a.Authenticate(t.Context(), nameless)
	wantInvalid(t, err, tokens.ReasonSignature, "")
	// Another key with the id of the old one.
	source.Source = tokentest.SourceFunc(func() []keys.PublicKey { return []keys.PublicKey{{ID: must(idOf(ecKey)), Key: otherKey.Public()}} })
	_, err = a.Authenticate(t.Context(), token)
	wantInvalid(t, err, tokens.ReasonSignature, "")
	source.Source = tokentest.FailingSource{}
	if _, err = a.Authenticate(t.Context(), token); err == nil {
		t.Fatal("accepted although the keys could not be consulted")
	}

	source.Source = set
	for _, token := range []string{token, other, nameless} {
		if _, err := a.Authenticate(t.Context(), token); err != nil || !a.cached {
			t.Errorf("when the very keys are back: %v, signature remembered %v", err, a.cached)
		}
	}
	// A source that fails is asked once.
	failing := &countingSource{Source: tokentest.FailingSource{}}
	source.Source = failing
	_, err = a.Authenticate(t.Context(), token)
	if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || failing.asked != 1 {
		t.Fatalf("Authenticate() = %v after asking %d times, want an UnavailableError after one", err, failing.asked)
	}
}

// Tokens that are refused don't enter, so they push nothing out.
func TestCacheWithstandsFloods(t *testing.T) {
	a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = 10_000 })
	first, second := tokentest.Mint(t, ecKey, tokentest.BoundClaims()), tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	a.warm(t, first)
	a.warm(t, second)
	unfit := tokentest.BoundClaims()
	delete(unfit, "exp")
	for i := range 300 {
		b := []byte(first)
		b[len(b)-1-i%80] ^= 1
		for _, token := range []string{string(b), fmt.Sprint("flood ", i), tokentest.Mint(t, otherKey, tokentest.BoundClaims()), tokentest.Mint(t, ecKey, unfit)} {
			if _, err := a.Authenticate(t.Context(), token); err == nil {
				t.Fatal("accepted")
			}
		}
	}
	for _, token := range []string{first, second} {
		if _, err := a.Authenticate(t.Context(), token); err != nil || !a.cached {
			t.Fatalf("after the flood: %v, signature remembered %v, want it remembered", err, a.cached)
		}
	}
}

// The cache is bounded, keeps what is used, and can be switched off.
func TestCacheSize(t *testing.T) {
	a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = 10_000 })
	busy := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	a.warm(t, busy)
	var first, last string
	for i := range 50 {
		last = tokentest.Mint(t, ecKey, tokentest.BoundClaims())
		if i == 0 {
			first = last
		}
		for _, token := range []string{last, busy} {
			if _, err := a.Authenticate(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		if !a.cached {
			t.Fatal("a token in use was forgotten for others that were used once")
		}
	}
	remembered := 0
	for range 2 {
		if _, err := a.Authenticate(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if a.cached {
			remembered++
		}
	}
	if remembered != 2 {
		t.Errorf("the last token was remembered %d times, want 2", remembered)
	}
	if _, err := a.Authenticate(t.Context(), first); err != nil || a.cached {
		t.Errorf("the first token: %v, signature remembered %v, want it forgotten", err, a.cached)
	}

	off := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.DisableSignatureCache = true })
	for range 3 {
		if _, err := off.Authenticate(t.Context(), busy); err != nil || off.cached {
			t.Fatalf("Authenticate() without a cache: %v, signature remembered %v", err, off.cached)
		}
	}
}

// What Authenticate returns belongs to the caller, whatever the cache keeps.
func TestCacheIsNotShared(t *testing.T) {
	a := newCachedAuthenticator(t, tokentest.NewWorld(), nil)
	claims := tokentest.BoundClaims()
	bind(claims, "validatingwebhookconfiguration", "checks")
	token := tokentest.Mint(t, ecKey, claims)
	for range 2 {
		id, err := a.Authenticate(t.Context(), token)
		if err != nil || id.Audiences[0] != api || id.UserInfo().Extra[userinfo.ExtraAdmissionReviewGroups][0] != "apps" {
			t.Fatalf("Authenticate() = %+v, %v", id, err)
		}
		id.Audiences[0] = "changed"
		id.UserInfo().Extra[userinfo.ExtraAdmissionReviewGroups][0] = "changed"
	}
}

// K10: keys that come and go under load. A token is accepted exactly while its
// key is there.
func TestCacheUnderRotation(t *testing.T) {
	with, without := must(keys.NewSet(ecKey, rsaKey)), must(keys.NewSet(rsaKey))
	var source atomic.Pointer[keys.Set]
	source.Store(with)
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
		cfg.Keys = sourceByID(func(id string) []keys.PublicKey {
			return must(source.Load().PublicKeys(context.Background(), id))
		})
		cfg.SignatureCacheBytes = 10_000
	})
	stays, goes := tokentest.Mint(t, rsaKey, tokentest.BoundClaims()), tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := a.Authenticate(t.Context(), stays); err != nil {
					t.Error(err)
				}
				_, err := a.Authenticate(t.Context(), goes)
				if e, ok := errors.AsType[*tokens.InvalidError](err); err != nil && (!ok || e.Reason != tokens.ReasonUnknownKey) {
					t.Error(err)
				}
			}
		})
	}
	for i := range 50 {
		source.Store([]*keys.Set{with, without}[i%2])
		_, err := a.Authenticate(t.Context(), goes)
		if (err == nil) != (i%2 == 0) {
			t.Fatalf("with the key there %v: %v", i%2 == 0, err)
		}
	}
	wg.Wait()
}

type sourceByID func(id string) []keys.PublicKey

func (f sourceByID) PublicKeys(_ context.Context, id string) ([]keys.PublicKey, error) {
	return f(id), nil
}
