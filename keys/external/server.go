package external

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/keys"
)

// ErrBadClaims means that claims are not a JSON object in base64url. It is permanent:
// the caller must not retry.
var ErrBadClaims = errors.New("external: claims are not a JSON object in base64url without padding")

// ServerConfig configures [NewServer].
type ServerConfig struct {
	// Signer signs, and Keys verify what it signs; both can be the same
	// keyring.Ring. Both are required. The data timestamp of the answers is what a
	// method ChangedAt() time.Time of Keys returns, as a Ring has it, otherwise the
	// time at which FetchKeys noticed the last change.
	Signer keys.TypedSigner
	Keys   keys.Source
	// MaxTokenLifetime is the maximum lifetime of a token, at least ten minutes, in
	// whole seconds. Required. For a Ring, it is Ring.MaxTokenLifetime.
	MaxTokenLifetime time.Duration
	// RefreshHint is the time after which clients fetch the keys again, at least a
	// second. Zero means half of the [keys.MaxAge] of Keys.
	RefreshHint time.Duration
	// Observe, if set, is called after each call that was answered, with its context. It
	// must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Server is the [Service] that a kube-apiserver with
// --service-account-signing-endpoint asks for signatures and keys, which can then
// be replaced while the API server runs. The module keys/external/grpc serves it on a
// socket. Whoever reaches it can have anything signed. It is safe for concurrent use.
type Server struct {
	cfg ServerConfig

	mu    sync.Mutex
	last  []keys.PublicKey
	stamp time.Time
}

// NewServer returns a Server, or an error naming every invalid
// field, each as a [*ConfigError].
func NewServer(cfg ServerConfig) (*Server, error) {
	list := configerror.List{Config: "external.ServerConfig"}
	list.Require("Signer", cfg.Signer, "a keys.TypedSigner")
	list.Require("Keys", cfg.Keys, "a keys.Source")
	if cfg.MaxTokenLifetime < minTokenLifetime {
		list.Add("MaxTokenLifetime", "is %s, want at least %s", cfg.MaxTokenLifetime, minTokenLifetime)
	}
	if cfg.RefreshHint != 0 && cfg.RefreshHint < time.Second {
		list.Add("RefreshHint", "is %s, want at least 1s", cfg.RefreshHint)
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{cfg: cfg}, nil
}

// Sign implements [Service]. It fails with [ErrBadClaims] or as the signer
// does, such as with [keys.ErrNoSigningKey].
func (s *Server) Sign(ctx context.Context, claims string) (header, signature string, err error) {
	start := time.Now()
	header, signature, err = s.sign(ctx, claims)
	s.observe(ctx, newEvent(MethodSign, start, err))
	return header, signature, err
}

// observe calls Observe. Errors without a code of their own reach the client as
// Unavailable.
func (s *Server) observe(ctx context.Context, e Event) {
	if s.cfg.Observe == nil {
		return
	}
	if e.Code == codeUnknown {
		e.Code = "Unavailable"
	}
	s.cfg.Observe(ctx, e)
}

func (s *Server) sign(ctx context.Context, claims string) (header, signature string, err error) {
	payload, _ := base64.RawURLEncoding.DecodeString(claims)
	// Line breaks are decoded too, and would be gone from what is signed.
	if base64.RawURLEncoding.EncodeToString(payload) != claims || !json.Valid(payload) || payload[0] != '{' {
		return "", "", ErrBadClaims
	}
	token, err := s.cfg.Signer.SignTyped(ctx, payload)
	if err != nil {
		return "", "", err
	}
	header, rest, _ := strings.Cut(token, ".")
	if _, signature, _ = strings.Cut(rest, "."); signature == "" {
		return "", "", errors.New("external: the signer returned neither a token nor an error")
	}
	return header, signature, nil
}

// FetchKeys implements [Service]. It fails with [keys.ErrNoSigningKey] while there
// is no key, or as the source does.
func (s *Server) FetchKeys(ctx context.Context) (*Keys, error) {
	start := time.Now()
	answer, err := s.fetchKeys(ctx)
	e := newEvent(MethodFetchKeys, start, err)
	if err == nil {
		e.Keys, e.DataTimestamp = len(answer.Keys), answer.DataTimestamp
	}
	s.observe(ctx, e)
	return answer, err
}

func (s *Server) fetchKeys(ctx context.Context) (*Keys, error) {
	stamp := s.changedAt() // before the keys: what changes in between is fetched next time
	known, err := s.cfg.Keys.PublicKeys(ctx, "")
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return nil, keys.ErrNoSigningKey // no keys is no answer (KEY-42)
	}
	if stamp.IsZero() {
		stamp = s.noticed(known)
	}
	answer := &Keys{DataTimestamp: stamp, RefreshHint: s.cfg.RefreshHint}
	if answer.RefreshHint == 0 {
		answer.RefreshHint = max(time.Second, keys.MaxAge(s.cfg.Keys)/2)
	}
	for _, key := range known {
		pkix, err := x509.MarshalPKIXPublicKey(key.Key)
		if err != nil {
			return nil, fmt.Errorf("external: encoding public key %q: %w", key.ID, err)
		}
		answer.Keys = append(answer.Keys, Key{ID: key.ID, PKIX: pkix, ExcludeFromDiscovery: key.Unpublished})
	}
	return answer, nil
}

// changedAt returns when the source says that its keys changed, zero if it doesn't.
func (s *Server) changedAt() time.Time {
	if source, ok := s.cfg.Keys.(interface{ ChangedAt() time.Time }); ok {
		return source.ChangedAt()
	}
	return time.Time{}
}

// noticed returns the time of the last call whose keys were others than before.
func (s *Server) noticed(known []keys.PublicKey) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.EqualFunc(known, s.last, samePublished) {
		s.last, s.stamp = known, s.cfg.Now()
	}
	return s.stamp
}

// samePublished reports whether verifiers can't tell a from b: the id is the key's.
func samePublished(a, b keys.PublicKey) bool { return a.ID == b.ID && a.Unpublished == b.Unpublished }

// MaxTokenLifetime implements [Service].
func (s *Server) MaxTokenLifetime(ctx context.Context) (time.Duration, error) {
	s.observe(ctx, newEvent(MethodMetadata, time.Now(), nil))
	return s.cfg.MaxTokenLifetime, nil
}
