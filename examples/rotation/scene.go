package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

const (
	issuerURL = "https://issuer.example"
	lifetime  = 24 * time.Hour // of the tokens
)

// start is when the story begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); c.now = c.now.Add(d); c.mu.Unlock() }

// A scene is an issuer with its ring of keys, and the verifiers.
type scene struct {
	clock         clock
	ring          *keyring.Ring
	issuer        *tokenissuer.Issuer
	account       *corev1.ServiceAccount
	verifiers     []*tokens.Authenticator
	first, second string // ids of keys

	tokens             []*tokens.Token
	issued             int
	verified, rejected atomic.Int64
	lastRefusal        atomic.Pointer[error]
}

func newScene(ctx context.Context) (*scene, error) {
	s := &scene{account: &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}}}
	s.clock.now = start
	var err error
	// Verifiers may keep the keys for an hour, and no token lives longer than a day.
	s.ring, err = keyring.New(keyring.Config{MaxAge: time.Hour, MaxTokenLifetime: lifetime, Now: s.clock.Now})
	if err != nil {
		return nil, err
	}
	if s.first, err = s.addKey(ctx); err != nil {
		return nil, err
	}
	if err := s.ring.Promote(ctx, s.first); err != nil {
		return nil, err
	}
	s.issuer, err = tokenissuer.New(tokenissuer.Config{Issuer: issuerURL, Signer: s.ring, MaxLifetime: lifetime, Now: s.clock.Now})
	if err != nil {
		return nil, err
	}
	published, err := discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuerURL, ExternalAddress: "issuer.example", Keys: s.ring, Now: s.clock.Now})
	if err != nil {
		return nil, err
	}
	accounts := fake.New(s.account)
	for range 3 {
		remote, err := discovery.NewRemote(discovery.RemoteConfig{Issuer: issuerURL, Transport: served{published}, Now: s.clock.Now})
		if err != nil {
			return nil, err
		}
		verifier, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
			Issuers: []string{issuerURL}, APIAudiences: []string{"api"}, Keys: remote, ServiceAccounts: accounts, Now: s.clock.Now,
		})
		if err != nil {
			return nil, err
		}
		s.verifiers = append(s.verifiers, verifier)
	}
	return s, nil
}

// served is the network between the verifiers and the issuer.
type served struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *scene) addKey(ctx context.Context) (id string, err error) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		return "", err
	}
	return s.ring.Add(ctx, key)
}

// add adds the second key.
func (s *scene) add(ctx context.Context) (err error) {
	s.second, err = s.addKey(ctx)
	return err
}

// name returns a name for people.
func (s *scene) name(id string) string {
	if id == s.first {
		return "the first key"
	}
	return "the second key"
}

// work issues a token and has all tokens that are alive verified by every verifier,
// in goroutines. It returns a function that waits for them.
func (s *scene) work(ctx context.Context) (wait func() error) {
	now := s.clock.Now()
	alive := s.tokens[:0:0]
	for _, token := range s.tokens {
		if now.Before(token.Expiry) {
			alive = append(alive, token)
		}
	}
	var group sync.WaitGroup
	for _, verifier := range s.verifiers {
		group.Go(func() {
			for _, token := range alive {
				s.verified.Add(1)
				if _, err := verifier.Authenticate(ctx, token.Value); err != nil {
					s.rejected.Add(1)
					s.lastRefusal.Store(&err)
				}
			}
		})
	}
	var token *tokens.Token
	var err error
	group.Go(func() {
		token, err = s.issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: s.account, Audiences: []string{"api"}, Lifetime: lifetime})
	})
	return func() error {
		group.Wait()
		if err != nil {
			return fmt.Errorf("issuing: %w", err)
		}
		s.tokens, s.issued = append(alive, token), s.issued+1
		return nil
	}
}

// why returns why a token was rejected.
func (s *scene) why() error {
	if err := s.lastRefusal.Load(); err != nil {
		return *err
	}
	return errors.New("nothing was rejected")
}
