package tokens

import (
	"fmt"
	"time"
)

// A Token is a bound token that was issued. Whoever has Value is the
// ServiceAccount, so everything that prints or encodes a Token leaves it out.
type Token struct {
	Value string // the compact JWS; a secret
	ID    string // "jti"; no secret, the right thing to log

	// Times in whole seconds. WarnAfter is zero unless it was asked for.
	IssuedAt, Expiry, WarnAfter time.Time

	// Shortened says that the lifetime asked for was above the maximum of the issuer.
	Shortened bool
}

// CredentialID returns the name under which audit logs and user infos know the
// token, "JTI=" and its ID; empty if that is.
func (t Token) CredentialID() string {
	if t.ID == "" {
		return ""
	}
	return "JTI=" + t.ID
}

// String returns the credential id and the expiry.
func (t Token) String() string {
	return fmt.Sprintf("tokens.Token(%s, expires %s)", t.CredentialID(), t.Expiry.UTC().Format(time.RFC3339))
}

// Format writes what String returns, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }

// MarshalText returns what String returns, so that no encoder, that of JSON
// included, writes the value.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalBinary is MarshalText for encoding/gob.
func (t Token) MarshalBinary() ([]byte, error) { return t.MarshalText() }
