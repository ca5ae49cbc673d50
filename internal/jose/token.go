package jose

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
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

// A Token is a compact JWS that the guard has let through. Nothing in it is
// to be trusted before [Token.Verify] says so.
type Token struct {
	Algorithm string // "alg", never empty
	KeyID     string // "kid", empty if absent; at most 1024 bytes
	Type      string // "typ", empty if absent; else JWT in any case
	Payload   []byte // one JSON object without duplicate names, valid UTF-8

	signed    string // the first two parts and the dot between them
	signature []byte
}

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

	buf := make([]byte, decoding.DecodedLen(len(raw)))
	header, buf, ok := decode(buf, raw[:dot1])
	if !ok {
		return nil, &MalformedError{"header", "not canonical base64url"}
	}
	payload, buf, ok := decode(buf, raw[dot1+1:dot2])
	if !ok {
		return nil, &MalformedError{"payload", "not canonical base64url"}
	}
	signature, _, ok := decode(buf, raw[dot2+1:])
	if !ok {
		return nil, &MalformedError{"signature", "not canonical base64url"}
	}

	t := &Token{Payload: payload, signed: raw[:dot2], signature: signature}
	if fault := t.readHeader(header); fault != "" {
		return nil, &MalformedError{"header", fault}
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
			return 0, 0, "a character outside the base64url alphabet"
		case dot1 == 0:
			dot1 = i
		case dot2 == 0:
			dot2 = i
		default:
			return 0, 0, "more than three parts"
		}
	}
	// A dot at index 0 leaves dot1 zero, which is as wrong as none.
	if dot1 == 0 || dot2 <= dot1+1 || dot2 == len(raw)-1 {
		return 0, 0, "not three non-empty parts"
	}
	return dot1, dot2, ""
}

// decode decodes part to the beginning of buf and returns the rest of buf.
func decode(buf []byte, part string) (decoded, rest []byte, ok bool) {
	n, err := decoding.Decode(buf, []byte(part))
	return buf[:n:n], buf[n:], err == nil
}

// readHeader reads the members of the protected header, of which it knows
// three: what isn't understood must not be ignored.
func (t *Token) readHeader(header []byte) (fault string) {
	if !utf8.Valid(header) {
		return "invalid UTF-8"
	}
	s := scanner{data: header}
	if !s.take('{') {
		return "not a JSON object"
	}
	var seenAlg, seenKid, seenTyp bool
	for {
		name, fault := s.text()
		if fault != "" {
			return fault
		}
		if !s.take(':') {
			return faultSyntax
		}
		var seen *bool
		var value *string
		switch string(name) {
		case "alg":
			seen, value = &seenAlg, &t.Algorithm
		case "kid":
			seen, value = &seenKid, &t.KeyID
		case "typ":
			seen, value = &seenTyp, &t.Type
		default:
			return `a parameter other than "alg", "kid" and "typ"`
		}
		if *seen {
			return faultDuplicate
		}
		*seen = true
		text, fault := s.text()
		if fault != "" {
			return "a parameter that is not a string"
		}
		*value = intern(text)
		if s.take('}') {
			break
		}
		if !s.take(',') {
			return faultSyntax
		}
	}
	switch {
	case !s.end():
		return "more than one JSON value"
	case t.Algorithm == "":
		return `no "alg"`
	case len(t.KeyID) > maxKeyIDBytes:
		return `"kid" is too long`
	case seenTyp && !strings.EqualFold(t.Type, "JWT"):
		return `"typ" is not JWT`
	}
	return ""
}

// intern returns b as a string, without allocating for an algorithm in use.
func intern(b []byte) string {
	switch string(b) {
	case RS256:
		return RS256
	case ES256:
		return ES256
	case ES384:
		return ES384
	case ES512:
		return ES512
	}
	return string(b)
}
