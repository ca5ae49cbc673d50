package jose

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// Limits of the guard.
const (
	// DefaultMaxTokenBytes is the longest token that [Parse] reads if it is
	// not told otherwise. Real ones are about 1 kB.
	DefaultMaxTokenBytes = 16 << 10

	maxHeaderBytes  = 2 << 10
	maxKeyIDBytes   = 1024
	maxPayloadDepth = 8
)

// A Token is a compact JWS of the accepted form. Nothing in it is to be trusted
// before [Token.Verify] returned nil.
type Token struct {
	Algorithm string // "alg", never empty
	KeyID     string // "kid", empty if absent; at most 1024 bytes
	Type      string // "typ", empty if absent; else JWT in any case
	Payload   string // a JSON object that [CheckPayload] accepts

	signed    string // the first two parts and the dot between them
	signature []byte
	space     [maxUsualSignature]byte // of signature
}

// maxUsualSignature is the length of the signatures of RSA keys of 2048 bits.
// Longer ones take another allocation.
const maxUsualSignature = 256

// Parse reads a compact JWS of at most maxBytes bytes ([DefaultMaxTokenBytes]
// if maxBytes is not positive). The result holds on to raw. Any error is a
// [*MalformedError].
func Parse(raw string, maxBytes int) (*Token, error) {
	t, err := ParseJWS(raw, maxBytes)
	if err != nil {
		return nil, err
	}
	if err := CheckPayload(t.Payload); err != nil {
		return nil, err
	}
	return t, nil
}

// ParseJWS is [Parse] for a JWS that signs anything, not only a JSON object.
func ParseJWS(raw string, maxBytes int) (*Token, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxTokenBytes
	}
	if raw == "" || len(raw) > maxBytes {
		return nil, &MalformedError{"token", "empty or too long"}
	}
	dot1, dot2, fault := split(raw)
	if fault != "" {
		return nil, &MalformedError{"token", fault}
	}
	if decoding.DecodedLen(dot1) > maxHeaderBytes {
		return nil, &MalformedError{"header", "too long"}
	}

	var usual [2 << 10]byte
	buf := usual[:]
	if n := decoding.DecodedLen(len(raw)); n > len(buf) {
		buf = make([]byte, n)
	}
	header, ok1 := decode(buf, raw[:dot1])
	payload, ok2 := decode(buf[header:], raw[dot1+1:dot2])
	signature, ok3 := decode(buf[header+payload:], raw[dot2+1:])
	switch {
	case !ok1:
		return nil, &MalformedError{"header", FaultEncoding}
	case !ok2:
		return nil, &MalformedError{"payload", FaultEncoding}
	case !ok3:
		return nil, &MalformedError{"signature", FaultEncoding}
	}

	text := string(buf[:header+payload])
	t := &Token{Payload: text[header:], signed: raw[:dot2]}
	t.signature = append(t.space[:0], buf[header+payload:header+payload+signature]...)
	if err := t.readHeader(text[:header]); err != nil {
		return nil, &MalformedError{"header", err.Error()}
	}
	return t, nil
}

// decoding refuses padding and bits that encode nothing, so that a token has
// one spelling. The line breaks that it would skip don't get past split.
var decoding = base64.RawURLEncoding.Strict()

// alphabet has the bytes of base64url.
var alphabet = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		set[c] = true
	}
	return set
}()

// split finds the two dots of raw.
func split(raw string) (dot1, dot2 int, fault string) {
	for i := range len(raw) {
		switch {
		case alphabet[raw[i]]:
		case raw[i] != '.':
			return dot1, dot2, "a character outside the base64url alphabet"
		case dot1 == 0:
			dot1 = i
		case dot2 == 0:
			dot2 = i
		default:
			return dot1, dot2, "more than three parts"
		}
	}
	// A dot at index 0 leaves dot1 and dot2 zero, which is as wrong as none.
	if dot2 <= dot1+1 || dot2 == len(raw)-1 {
		return dot1, dot2, "not three non-empty parts"
	}
	return dot1, dot2, ""
}

// decode decodes part to the beginning of buf and returns its length.
func decode(buf []byte, part string) (n int, ok bool) {
	n, err := decoding.Decode(buf, []byte(part))
	return n, err == nil
}

// PayloadPart returns the payload of a token that [Parse] has accepted, as it
// stands in the token.
func PayloadPart(raw string) string {
	_, rest, _ := strings.Cut(raw, ".")
	part, _, _ := strings.Cut(rest, ".")
	return part
}

// DecodePart decodes what [PayloadPart] has returned; anything else is empty.
func DecodePart(part string) string {
	payload, err := decoding.DecodeString(part)
	if err != nil {
		return ""
	}
	return string(payload)
}

// readHeader reads the members of the protected header, of which it knows
// three: what isn't understood must not be ignored.
func (t *Token) readHeader(header string) error {
	s := strictjson.Scanner{Source: header, MaxDepth: 1}
	s.Object()
	typed := false
	for name := range s.Members {
		switch name {
		case "alg":
			t.Algorithm = s.Text()
		case "kid":
			t.KeyID = strings.Clone(s.Text()) // callers remember ids, not tokens
		case "typ":
			t.Type, typed = s.Text(), true
		default:
			s.Fail(`a parameter other than "alg", "kid" and "typ"`)
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	switch {
	case t.Algorithm == "":
		return errors.New(`no "alg"`)
	case len(t.KeyID) > maxKeyIDBytes:
		return errors.New(`"kid" is too long`)
	case typed && !strings.EqualFold(t.Type, "JWT"):
		return errors.New(`"typ" is not JWT`)
	}
	return nil
}

// reservedNames are the names in the claims of service-account tokens. A name
// that only some decoders take for one of these is rejected.
var reservedNames = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti",

	"kubernetes.io", "namespace", "serviceaccount", "pod", "secret", "node",
	"validatingwebhookconfiguration", "mutatingwebhookconfiguration",
	"attestations", "warnafter", "name", "uid", "object", "apiVersion", "kind",

	"kubernetes.io/serviceaccount/namespace",
	"kubernetes.io/serviceaccount/secret.name",
	"kubernetes.io/serviceaccount/service-account.name",
	"kubernetes.io/serviceaccount/service-account.uid",
}

// CheckPayload checks that payload is one strict JSON object, at most 8 levels
// deep, in which no name differs from that of a claim only in case: what
// [Parse] accepts. Any error is a [*MalformedError].
func CheckPayload(payload string) error {
	if err := strictjson.Check(payload, maxPayloadDepth, reservedNames); err != nil {
		return &MalformedError{"payload", err.Error()}
	}
	return nil
}
