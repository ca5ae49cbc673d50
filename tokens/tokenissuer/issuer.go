package tokenissuer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// The lifetimes of bound tokens.
const (
	DefaultLifetime = time.Hour
	MinLifetime     = 10 * time.Minute // of a TokenRequest; an [Issuer] has no minimum
	MaxLifetime     = (1 << 32) * time.Second
)

// Config configures [New].
type Config struct {
	// Issuer is required: the "iss" of bound tokens, usually the https URL under
	// which their keys are published. It can't be [tokens.LegacyIssuer].
	Issuer string

	// Signer is required. A *[keys.LocalSigner] checks what needs checking
	// itself. Any other may fail, hang, panic or answer with another token:
	// Issue returns an error then, at the latest when its context is done. There
	// are up to 64 calls at a time; while 64 hang, Issue fails at once. That
	// the signature is good is checked if Keys is set, or if the Signer is a
	// [keys.Source] too.
	Signer keys.Signer

	// Keys, if set, must verify every token that Signer signs.
	Keys keys.Source

	// MaxLifetime shortens the life of tokens for which more is asked. Zero
	// means that only 2³² seconds is too long.
	MaxLifetime time.Duration

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time

	// NewID returns a "jti" that no other token has. If nil, it is a random
	// UUID.
	NewID func() string

	// Extend, if set, adds claims to bound tokens.
	Extend ClaimsExtender

	// ClusterClaim, if not empty, is the name of the claim for the cluster of the context
	// of Issue and IssueLegacy: see [tokens.ClusterClaim].
	ClusterClaim string
}

// A ConfigError is one mistake in a [Config]. It is the same type in every package of this
// module.
type ConfigError = configerror.Error

// An Issuer issues tokens for ServiceAccounts. It is safe for concurrent use if its
// Signer is. Whoever can call it can act as any ServiceAccount: it looks nothing up
// and doesn't authorize the caller.
type Issuer struct {
	cfg    Config
	signer *signer
}

// New returns an Issuer, or an error naming every invalid field, each as a
// [*ConfigError]. It does no I/O: whether Keys verify what Signer signs,
// [keys.SelfTest] says; call it at startup.
func New(cfg Config) (*Issuer, error) {
	mistakes := configerror.List{Config: "tokenissuer.Config"}
	if err := payload.CheckIssuer(cfg.Issuer); err != nil {
		mistakes.Add("Issuer", "%v", err)
	}
	mistakes.Require("Signer", cfg.Signer, "a keys.Signer")
	mistakes.Optional("Keys", cfg.Keys)
	if cfg.MaxLifetime != 0 && (cfg.MaxLifetime < time.Second || cfg.MaxLifetime > MaxLifetime) {
		mistakes.Add("MaxLifetime", "is %v, want 0 or 1 s to 2^32 s", cfg.MaxLifetime)
	}
	if !payload.IsCluster(cfg.ClusterClaim) {
		mistakes.Add("ClusterClaim", "is %q, which has a meaning of its own, want another one", cfg.ClusterClaim)
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = newUUID
	}
	return &Issuer{cfg, newSigner(cfg.Signer, cfg.Keys)}, nil
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Now returns the time of the issuer's clock, [Config.Now].
func (i *Issuer) Now() time.Time { return i.cfg.Now() }

// MaxLifetime returns [Config.MaxLifetime], 0 for none.
func (i *Issuer) MaxLifetime() time.Duration { return i.cfg.MaxLifetime }

// Issue returns a new token for req.ServiceAccount.
//
// A [*RequestError] says what is wrong with req or with the extra claims. Any
// other error comes from the signer or the extender, and is retryable.
func (i *Issuer) Issue(ctx context.Context, req Request) (*tokens.Token, error) {
	maximum := i.cfg.MaxLifetime
	if req.IgnoreMaxLifetime {
		maximum = 0
	}
	c, err := req.claims(i.cfg.Now(), maximum)
	if err != nil {
		return nil, err
	}
	c.Issuer = i.cfg.Issuer
	c.SetID(i.cfg.NewID())
	if c.ID == "" || !utf8.ValidString(c.ID) {
		return nil, &RequestError{"Config.NewID", "returned no id"}
	}
	if c.Cluster, err = i.cluster(ctx); err != nil {
		return nil, err
	}
	extra, err := i.extend(ctx, req)
	if err != nil {
		return nil, err
	}
	encoded := c.EncodeBound(i.cfg.ClusterClaim, extra)
	if extra != nil || req.Attestations != nil {
		if err := jose.CheckPayload(string(encoded)); err != nil {
			field := "Config.Extend"
			if extra == nil {
				field = "Request.Attestations"
			}
			return nil, &RequestError{field, "claims that no verifier would read: " + err.Error()}
		}
	}
	value, err := i.sign(ctx, encoded)
	if err != nil {
		return nil, err
	}
	return &tokens.Token{
		Value:     value,
		ID:        c.ID,
		IssuedAt:  payload.Time(c.IssuedAt),
		Expiry:    payload.Time(c.Expiry),
		WarnAfter: payload.Time(c.WarnAfter),
		Shortened: maximum != 0 && req.lifetime() > maximum,
	}, nil
}

// IssueLegacy returns the token to store in secret for account. Only the name and
// the namespace of secret count. It never expires: it is valid as long as the
// Secret holds it. With a deterministic algorithm, RS256, it is the
// same every time. Errors are those of [Issuer.Issue].
func (i *Issuer) IssueLegacy(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	if err := checkAccount(account, "IssueLegacy account"); err != nil {
		return "", err
	}
	if secret == nil || !names.Valid(secret.Name) {
		return "", &RequestError{"IssueLegacy secret", "no Secret with a valid name"}
	}
	if secret.Namespace != account.Namespace {
		return "", &RequestError{"IssueLegacy secret", "not in the namespace of the ServiceAccount"}
	}
	cluster, err := i.cluster(ctx)
	if err != nil {
		return "", err
	}
	c := payload.Claims{
		Issuer:    tokens.LegacyIssuer,
		Cluster:   cluster,
		Subject:   userinfo.Username(account.Namespace, account.Name),
		Namespace: account.Namespace,
		Account:   payload.Ref{Name: account.Name, UID: account.UID},
		Secret:    payload.Ref{Name: secret.Name},
	}
	return i.sign(ctx, c.EncodeLegacy(i.cfg.ClusterClaim))
}

// cluster returns the cluster to issue a token for, empty if there are none.
func (i *Issuer) cluster(ctx context.Context) (string, error) {
	if i.cfg.ClusterClaim == "" {
		return "", nil
	}
	cluster := tenant.Of(ctx)
	if cluster == "" || !utf8.ValidString(cluster) {
		return "", &RequestError{"Config.ClusterClaim", "the context names no cluster"}
	}
	return cluster, nil
}

// sign returns the signed token of payload.
func (i *Issuer) sign(ctx context.Context, payload []byte) (string, error) {
	value, err := i.signer.sign(ctx, payload)
	switch {
	case err == errTooLong:
		return "", &RequestError{"Request", "makes " + err.Error()}
	case err != nil:
		return "", fmt.Errorf("tokenissuer: signing: %w", err)
	}
	return value, nil
}
