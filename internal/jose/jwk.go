package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	jose "gopkg.in/square/go-jose.v2"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// Limits of a JWK Set. What is left out costs memory too, for the reason why.
const (
	maxJWKSBytes   = 1 << 20
	maxJWKSKeys    = 64   // that are used
	maxJWKSEntries = 1024 // that are looked at
	maxJWKDepth    = 8
	maxJWKSLook    = 64 // bytes of what isn't a set, to say what it is
)

// A JWK is a public key with the id under which it was published.
type JWK struct {
	KeyID     string
	Algorithm string
	Key       crypto.PublicKey
}

// EncodeJWKS returns the JWK Set of keys in the form of Kubernetes: each with
// "use": "sig", members in the order of RFC 7517, no white space. The keys must
// be those that [AlgorithmOf] accepts.
func EncodeJWKS(keys []JWK) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(keys))}
	for i, key := range keys {
		set.Keys[i] = jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: "sig"}
		if _, err := algorithmFor(key.Key); err != nil {
			return nil, err
		}
	}
	return json.Marshal(set)
}

// members are the names in a JWK that mean something to ParseJWKS.
var members = []string{
	"kty", "use", "key_ops", "alg", "kid", "crv", "x", "y", "n", "e", "x5c",
	"d", "p", "q", "dp", "dq", "qi", "oth", "k",
}

type rawJWK struct {
	KeyType   string    `json:"kty"`
	Use       string    `json:"use"`
	KeyOps    *[]string `json:"key_ops"`
	Algorithm string    `json:"alg"`
	KeyID     string    `json:"kid"`
	Curve     string    `json:"crv"`
	X         string    `json:"x"`
	Y         string    `json:"y"`
	N         string    `json:"n"`
	E         string    `json:"e"`

	X5C *json.RawMessage `json:"x5c"`

	// What only private and secret keys have.
	D, P, Q, DP, DQ, QI, Oth, K *json.RawMessage
}

// ParseJWKS returns the usable keys of a JWK Set in order, and why each of the
// others is left out (RFC 7517, section 5). Keys without an id have an empty
// KeyID; of those with the same id, the first is used. The error is a
// [*MalformedError]: data is no set of keys.
func ParseJWKS(data []byte) (keys []JWK, skipped []*JWKError, err error) {
	list, problem := splitJWKS(data)
	if problem != "" {
		return nil, nil, &MalformedError{"JWK Set", problem}
	}
	seen := make(map[string]bool, len(list))
	for i, data := range list {
		key, fault := parseJWK(data)
		switch {
		case fault != nil:
		case seen[key.KeyID] && key.KeyID != "":
			fault = &KeyError{FaultKeyID, `"kid" of another key of the set`}
		case len(keys) == maxJWKSKeys:
			fault = &KeyError{FaultTooMany, fmt.Sprintf("more than %d usable keys in one set", maxJWKSKeys)}
		}
		if fault != nil {
			skipped = append(skipped, &JWKError{i, key.KeyID, fault})
			continue
		}
		seen[key.KeyID] = true
		keys = append(keys, key)
	}
	return keys, skipped, nil
}

// splitJWKS returns the elements of "keys", or what is wrong with the set. What an
// element is made of doesn't matter to the others.
func splitJWKS(data []byte) (list []json.RawMessage, problem string) {
	if len(data) > maxJWKSBytes {
		return nil, "too long"
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, _ := decoder.Token(); start != json.Delim('{') {
		return nil, noObject(data)
	}
	var keys json.RawMessage
	single, document := false, false
	for decoder.More() {
		token, _ := decoder.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if decoder.Decode(&value) != nil { // and so after a name that is none
			return nil, noObject(data)
		}
		switch {
		case strictjson.Imitated(name, []string{"keys"}) != "", name == "keys" && keys != nil:
			return nil, `more than one "keys", or one in other letters`
		case name == "keys":
			keys = value
		case name == "kty":
			single = true
		case name == "jwks_uri":
			document = true
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, noObject(data)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, "something after the JSON object"
	}
	switch {
	case keys == nil && single:
		return nil, `a single key, want an object with an array "keys"`
	case keys == nil && document:
		return nil, `a discovery document, want what is at its "jwks_uri"`
	case keys == nil:
		return nil, `no "keys"`
	case json.Unmarshal(keys, &list) != nil || list == nil:
		return nil, `"keys" is not an array`
	case len(list) > maxJWKSEntries:
		return nil, fmt.Sprintf("more than %d keys", maxJWKSEntries)
	}
	return list, ""
}

// noObject says that data isn't a JSON object, and what it is.
func noObject(data []byte) string {
	problem := "not a JSON object"
	if what := strictjson.Instead(string(data[:min(len(data), maxJWKSLook)])); what != "" {
		problem += ": it " + what
	}
	return problem
}

// parseJWK reads one key. With a fault, the result has the id at most.
func parseJWK(data []byte) (JWK, *KeyError) {
	if err := strictjson.Check(string(data), maxJWKDepth, members); err != nil {
		return JWK{}, &KeyError{FaultMissing, "not one unambiguous JSON object: " + err.Error() + " of it"}
	}
	var named struct {
		KeyID any `json:"kid"` // of any type, so that the fault has the id
	}
	_ = json.Unmarshal(data, &named) // checked above
	id, _ := named.KeyID.(string)
	key := JWK{KeyID: id}
	var raw rawJWK
	if e, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(data, &raw)); ok {
		return key, &KeyError{FaultMissing, fmt.Sprintf("%q is of the wrong type", e.Field)} // one of members
	}
	if fault := raw.check(); fault != nil {
		return key, fault
	}
	public, fault := raw.public()
	if fault != nil {
		return key, fault
	}
	alg, err := AlgorithmOf(public)
	if e, ok := errors.AsType[*KeyError](err); ok {
		return key, e
	}
	if raw.Algorithm != "" && raw.Algorithm != alg {
		return key, &KeyError{FaultUse, `"alg" is not the algorithm of the key, ` + alg}
	}
	return JWK{KeyID: id, Algorithm: alg, Key: public}, nil
}

// check checks what a key says of itself besides its numbers.
func (raw *rawJWK) check() *KeyError {
	switch {
	case raw.K != nil || raw.D != nil || raw.P != nil || raw.Q != nil || raw.DP != nil || raw.DQ != nil || raw.QI != nil || raw.Oth != nil,
		raw.KeyType == "oct":
		return &KeyError{FaultPrivate, "private or shared key where public ones belong"}
	case raw.KeyType == "":
		return &KeyError{FaultMissing, `no "kty"`}
	case raw.KeyType != "RSA" && raw.KeyType != "EC":
		return &KeyError{FaultType, `"kty" is neither RSA nor EC`}
	case raw.Use != "" && raw.Use != "sig":
		return &KeyError{FaultUse, `"use" is not sig`}
	case raw.KeyOps != nil && !slices.Contains(*raw.KeyOps, "verify"):
		return &KeyError{FaultUse, `"key_ops" has no verify`}
	case len(raw.KeyID) > maxKeyIDBytes:
		return &KeyError{FaultKeyID, `"kid" is too long`}
	case raw.X5C != nil && raw.N == "" && raw.X == "":
		return &KeyError{FaultMissing, `a certificate in "x5c" without the numbers of its key`}
	}
	return nil
}

// public returns the key that the numbers make.
func (raw *rawJWK) public() (crypto.PublicKey, *KeyError) {
	if raw.KeyType == "RSA" {
		return raw.rsa()
	}
	return raw.ecdsa()
}

// number decodes the number called name, refusing the line breaks that encoding/base64
// skips, padding and bits that encode nothing.
func number(name, text string) ([]byte, *KeyError) {
	data, err := decoding.DecodeString(text)
	switch {
	case text == "":
		return nil, &KeyError{FaultMissing, fmt.Sprintf("no %q", name)}
	case err != nil || strings.ContainsAny(text, "\r\n"):
		return nil, &KeyError{FaultMissing, fmt.Sprintf("%q is not base64url without padding", name)}
	}
	return data, nil
}

func (raw *rawJWK) rsa() (crypto.PublicKey, *KeyError) {
	n, fault := number("n", raw.N)
	if fault != nil {
		return nil, fault
	}
	e, fault := number("e", raw.E)
	if fault != nil {
		return nil, fault
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > maxExponentBits {
		return nil, &KeyError{FaultExponent, "RSA public exponent above 2^31-1"}
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (raw *rawJWK) ecdsa() (crypto.PublicKey, *KeyError) {
	var curve elliptic.Curve
	switch raw.Curve {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	case "":
		return nil, &KeyError{FaultMissing, `no "crv"`}
	default:
		return nil, &KeyError{FaultCurve, `"crv" is none of P-256, P-384 and P-521`}
	}
	point := []byte{4}
	for _, coordinate := range []struct{ name, text string }{{"x", raw.X}, {"y", raw.Y}} {
		data, fault := number(coordinate.name, coordinate.text)
		if fault != nil {
			return nil, fault
		}
		// RFC 7518, section 6.2.1.2: the full size of a coordinate, zeros included.
		if size := (curve.Params().BitSize + 7) / 8; len(data) != size {
			return nil, &KeyError{FaultPoint, fmt.Sprintf("%q has %d bytes, want the %d of the curve", coordinate.name, len(data), size)}
		}
		point = append(point, data...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, &KeyError{FaultPoint, "ECDSA public key is not a point of " + raw.Curve}
	}
	return public, nil
}
