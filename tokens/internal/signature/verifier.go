// Package signature verifies that a token is of an issuer and signed with one of its
// keys, and decodes its claims once. Nothing but the issuer is decoded before the
// signature is checked. It remembers good signatures; it knows neither times nor objects.
package signature

import (
	"context"
	"crypto"
	"slices"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// Config configures [New], which checks nothing of it.
type Config struct {
	Issuers    []string // of bound tokens
	Legacy     bool     // Secret-based tokens are of an issuer of ours, too
	Keys       keys.Source
	MaxChecks  int    // of keys for one token
	Cluster    string // see [payload.New]
	CacheBytes int64  // of memory; 0 for no cache
}

// A Verifier verifies the signatures of tokens. It is safe for concurrent use if its key
// source is.
type Verifier struct {
	cfg   Config
	cache *bounded.Cache[digest, entry] // nil for none
}

// New returns a Verifier.
func New(cfg Config) *Verifier {
	v := &Verifier{cfg: cfg}
	if cfg.CacheBytes > 0 {
		v.cache = bounded.New[digest, entry](cfg.CacheBytes)
	}
	return v
}

// A Result is what [Verifier.Verify] finds.
type Result struct {
	Claims    *payload.Claims // nil unless the token is verified
	Cached    bool            // the signature was not checked again
	KeysTried int             // until one verified the signature, or none did
}

// Verify checks the issuer, the signature and the claims of token (TOK-30..39).
func (v *Verifier) Verify(ctx context.Context, token string) (Result, *Error) {
	if v.cache == nil || len(token) > jose.DefaultMaxTokenBytes {
		r, _, err := v.verify(ctx, token)
		return r, err
	}
	d := digestOf(token)
	if r, err := v.remembered(ctx, d); r.Cached || err != nil {
		return r, err
	}
	r, by, err := v.verify(ctx, token)
	if err == nil {
		v.remember(d, entry{by, r.Claims})
	}
	return r, err
}

// verify is Verify without the cache. There is one parse of the token, so the issuer that
// chooses is the issuer that was signed.
func (v *Verifier) verify(ctx context.Context, token string) (r Result, by signer, _ *Error) {
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		return r, by, &Error{Problem: Malformed, Err: err}
	}
	issuer := payload.IssuerOf(parsed.Payload)
	legacy := v.cfg.Legacy && issuer == payload.LegacyIssuer
	if !legacy && !slices.Contains(v.cfg.Issuers, issuer) {
		return r, by, &Error{Problem: ForeignIssuer, issuer: issuer, issuers: v.cfg.Issuers}
	}
	by, tried, problem := v.signerOf(ctx, parsed)
	r.KeysTried = tried
	if problem != nil {
		return r, by, problem
	}
	claims := payload.New(legacy, v.cfg.Cluster)
	claims.Issuer = issuer
	for name, value := range strictjson.Members(parsed.Payload) {
		if fault := claims.Decode(name, value); fault != nil {
			return r, by, &Error{Problem: Claim, Fault: fault}
		}
	}
	if fault := claims.Check(); fault != nil {
		return r, by, &Error{Problem: Claim, Fault: fault}
	}
	r.Claims = claims
	return r, by, nil
}

// A signer is the key that made a signature.
type signer struct {
	key   crypto.PublicKey
	keyID string // under which its source was asked, empty for all keys
}

// signerOf tries the keys that the token may be signed with, in order (TOK-35..37). Keys of
// other algorithms cost nothing.
func (v *Verifier) signerOf(ctx context.Context, token *jose.Token) (by signer, tried int, _ *Error) {
	list, err := v.cfg.Keys.PublicKeys(ctx, token.KeyID)
	if err != nil {
		return by, 0, &Error{Problem: Keys, Err: err}
	}
	if len(list) == 0 {
		return by, 0, &Error{Problem: UnknownKey, token: token}
	}
	problem := BadSignature
	for i := range list {
		if tried == v.cfg.MaxChecks {
			if token.Names(list[i].Key) {
				problem = TooManyKeys
			}
			continue
		}
		err = token.Verify(list[i].Key)
		if err == nil || err == jose.ErrSignature {
			tried++
		}
		if err == nil {
			return signer{list[i].Key, token.KeyID}, tried, nil
		}
	}
	return by, tried, &Error{Problem: problem, Err: err, token: token, tried: tried, of: len(list)}
}
