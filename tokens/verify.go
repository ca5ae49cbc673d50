package tokens

import (
	"context"
	"crypto"
	"crypto/sha256"
	"slices"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A verified token has an issuer of ours and a valid signature. Its zero value is
// none.
type verified struct {
	claims   *payload.Claims
	signedBy signedBy
	cached   bool // the signature was not checked again
}

// verify checks the issuer, the signature and the form of token (TOK-30..39).
func (a *attempt) verify(ctx context.Context, token string) (verified, error) {
	if a.cache == nil || len(token) > jose.DefaultMaxTokenBytes {
		return a.verifyNew(ctx, token)
	}
	d := digestOf(token)
	if v, err := a.verifyCached(ctx, d); v.cached || err != nil {
		return v, err
	}
	v, err := a.verifyNew(ctx, token)
	if err == nil {
		e := signatureEntry{v.signedBy, v.claims}
		a.cache.Add(d, e, e.size())
	}
	return v, err
}

// digestOf hashes token, of the usual length without allocating.
func digestOf(token string) digest {
	var usual [1536]byte
	return sha256.Sum256(append(usual[:0], token...))
}

// A signedBy is the key that made a signature.
type signedBy struct {
	key   crypto.PublicKey
	keyID string // under which its source was asked, empty for all keys
}

// verifyCached is verify for a token whose signature is cached, if the key that
// made it is still there: the same value, not only an equal one, so that no key
// is compared with one that its source has broken.
func (a *attempt) verifyCached(ctx context.Context, d digest) (verified, error) {
	e, ok := a.cache.Get(d)
	if !ok {
		return verified{}, nil
	}
	list, err := a.cfg.Keys.PublicKeys(ctx, e.keyID)
	if err != nil {
		return verified{}, &UnavailableError{subjectKeys, err}
	}
	for i := range list {
		if list[i].Key == e.key {
			return verified{e.claims, e.signedBy, true}, nil
		}
	}
	return verified{}, nil
}

// verifyNew is verify for a token that isn't cached. The payload is read once:
// nothing but the issuer is decoded before the signature is checked.
func (a *attempt) verifyNew(ctx context.Context, token string) (verified, error) {
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		return verified{}, &NotRecognizedError{ReasonMalformed, err.Error()}
	}
	var before [maxMembersBeforeIssuer]member // not decoded until the issuer is known
	pending := before[:0]
	v := verified{}
	for name, value := range strictjson.Members(parsed.Payload) {
		switch {
		case v.claims != nil:
			if fault := v.claims.Decode(name, value); fault != nil {
				return verified{}, claimError(fault)
			}
		case name != payload.ClaimIssuer:
			pending = append(pending, member{name, value})
		default:
			issuer, _ := strictjson.Text(value)
			if v, err = a.verifyFrom(ctx, issuer, parsed); err != nil {
				return verified{}, err
			}
			for _, m := range pending {
				if fault := v.claims.Decode(m.name, m.value); fault != nil {
					return verified{}, claimError(fault)
				}
			}
			v.claims.Issuer = issuer
		}
	}
	if v.claims == nil { // no "iss"
		_, err := a.verifyFrom(ctx, "", parsed)
		return verified{}, err
	}
	if fault := v.claims.Check(); fault != nil {
		return verified{}, claimError(fault)
	}
	return v, nil
}

func claimError(fault *payload.Fault) *InvalidError {
	if fault.Missing {
		return &InvalidError{ReasonMissingClaim, fault.Claim}
	}
	return &InvalidError{ReasonInvalidClaim, fault.Claim}
}

// maxMembersBeforeIssuer is how many members usually precede "iss", in byte
// order: "aud", "exp" and "iat". More cost an allocation.
const maxMembersBeforeIssuer = 4

// A member is one of a JSON object.
type member struct{ name, value string }

// verifyFrom checks that issuer is one of ours and the signature of token, and
// returns claims to decode into. There is one parse of the token, so the issuer
// that chooses is the issuer that was signed.
func (a *attempt) verifyFrom(ctx context.Context, issuer string, token *jose.Token) (verified, error) {
	legacy := issuer == LegacyIssuer && (a.cfg.Legacy || a.cfg.Policy.ForbidLegacy)
	if !legacy && !slices.Contains(a.cfg.Issuers, issuer) {
		a.detailf("issuer %.256q, want one of %q", issuer, a.cfg.Issuers)
		return verified{}, &NotRecognizedError{Reason: ReasonForeignIssuer}
	}
	by, err := a.verifySignature(ctx, token)
	if err != nil {
		return verified{}, err
	}
	return verified{claims: payload.New(legacy, a.cfg.Cluster.Name), signedBy: by}, nil
}

// maxSignatureChecks is the default of [AuthenticatorConfig.MaxSignatureChecks]: more
// keys of one algorithm than a cluster has while they are rotated.
const maxSignatureChecks = 8

// verifySignature tries the keys that the token may be signed with, in order
// (TOK-35..37). Keys of other algorithms cost nothing.
func (a *attempt) verifySignature(ctx context.Context, token *jose.Token) (signedBy, error) {
	list, err := a.cfg.Keys.PublicKeys(ctx, token.KeyID)
	if err != nil {
		return signedBy{}, &UnavailableError{subjectKeys, err}
	}
	if len(list) == 0 {
		a.detailf("no key with the id %.64q", token.KeyID)
		return signedBy{}, &InvalidError{Reason: ReasonUnknownKey}
	}
	skipped := 0
	for i := range list {
		if a.keysTried == a.cfg.MaxSignatureChecks {
			if token.Names(list[i].Key) {
				skipped++
			}
			continue
		}
		err = token.Verify(list[i].Key)
		if err == nil || err == jose.ErrSignature {
			a.keysTried++
		}
		if err == nil {
			return signedBy{list[i].Key, token.KeyID}, nil
		}
	}
	a.detailf("algorithm %.16q, key id %.64q, %d of %d keys tried, the last one: %v", token.Algorithm, token.KeyID, a.keysTried, len(list), err)
	if skipped > 0 {
		return signedBy{}, &InvalidError{Reason: ReasonTooManyKeys}
	}
	return signedBy{}, &InvalidError{Reason: ReasonSignature}
}
