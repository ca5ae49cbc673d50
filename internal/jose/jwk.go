package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	jose "gopkg.in/square/go-jose.v2"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// Limits of a JWK Set.
const (
	maxJWKSBytes = 1 << 20
	maxJWKSKeys  = 64
	maxJWKSDepth = 8
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

// members are the names in a JWK Set that mean something to ParseJWKS.
var members = []string{
	"keys", "kty", "use", "key_ops", "alg", "kid", "crv", "x", "y", "n", "e",
	"d", "p", "q", "dp", "dq", "qi", "oth", "k",
}

type rawJWK struct {
	KeyType   *string   `json:"kty"`
	Use       *string   `json:"use"`
	KeyOps    *[]string `json:"key_ops"`
	Algorithm *string   `json:"alg"`
	KeyID     *string   `json:"kid"`
	Curve     string    `json:"crv"`
	X         string    `json:"x"`
	Y         string    `json:"y"`
	N         string    `json:"n"`
	E         string    `json:"e"`

	// What only private and secret keys have.
	D, P, Q, DP, DQ, QI, Oth, K json.RawMessage
}

// ParseJWKS returns the keys of a JWK Set in order. Keys of another type than
// RSA and EC, and EC keys on other curves, are left out; skipped says which
// (RFC 7517, section 5). Everything else that is wrong with a key fails the
// set: whoever publishes it doesn't mean what we would read. An error that is
// about a key is a [*JWKError], any other is a [*MalformedError].
func ParseJWKS(data []byte) (keys []JWK, skipped []error, err error) {
	if len(data) > maxJWKSBytes {
		return nil, nil, &MalformedError{"JWK Set", "too long"}
	}
	if err := strictjson.Check(string(data), maxJWKSDepth, members); err != nil {
		return nil, nil, &MalformedError{"JWK Set", err.Error()}
	}
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, nil, &MalformedError{"JWK Set", `"keys" is not an array`}
	}
	if len(*set.Keys) > maxJWKSKeys {
		return nil, nil, &MalformedError{"JWK Set", fmt.Sprintf("more than %d keys", maxJWKSKeys)}
	}
	seen := make(map[string]bool, len(*set.Keys))
	for i, data := range *set.Keys {
		key, known, fault := parseJWK(data)
		if fault == nil && seen[key.KeyID] {
			fault = &KeyError{FaultKeyID, `"kid" of another key of the set`}
		}
		switch {
		case fault == nil:
			seen[key.KeyID] = true
			keys = append(keys, key)
		case known:
			return nil, nil, &JWKError{i, fault}
		default:
			skipped = append(skipped, &JWKError{i, fault})
		}
	}
	return keys, skipped, nil
}

// parseJWK reads one key. If known is false, fault says why it isn't one that
// we know anything about.
func parseJWK(data []byte) (key JWK, known bool, fault *KeyError) {
	var raw rawJWK
	if json.Unmarshal(data, &raw) != nil {
		return JWK{}, true, &KeyError{FaultMissing, "members of the wrong type"}
	}
	if known, fault := raw.check(); fault != nil {
		return JWK{}, known, fault
	}
	public, known, fault := raw.public()
	if fault != nil {
		return JWK{}, known, fault
	}
	alg, err := AlgorithmOf(public)
	if e, ok := errors.AsType[*KeyError](err); ok {
		return JWK{}, true, e
	}
	if raw.Algorithm != nil && *raw.Algorithm != alg {
		return JWK{}, true, &KeyError{FaultUse, `"alg" is not the algorithm of the key, ` + alg}
	}
	return JWK{KeyID: *raw.KeyID, Algorithm: alg, Key: public}, true, nil
}

// check checks what a key says of itself besides its numbers.
func (raw *rawJWK) check() (known bool, fault *KeyError) {
	switch {
	case raw.K != nil || raw.D != nil || raw.P != nil || raw.Q != nil || raw.DP != nil || raw.DQ != nil || raw.QI != nil || raw.Oth != nil,
		raw.KeyType != nil && *raw.KeyType == "oct":
		return true, &KeyError{FaultPrivate, "private or shared key where public ones belong"}
	case raw.KeyType == nil:
		return true, &KeyError{FaultMissing, `no "kty"`}
	case *raw.KeyType != "RSA" && *raw.KeyType != "EC":
		return false, &KeyError{FaultType, `"kty" is neither RSA nor EC`}
	case raw.Use != nil && *raw.Use != "sig":
		return true, &KeyError{FaultUse, `"use" is not sig`}
	case raw.KeyOps != nil && !slices.Contains(*raw.KeyOps, "verify"):
		return true, &KeyError{FaultUse, `"key_ops" has no verify`}
	case raw.KeyID == nil || *raw.KeyID == "" || len(*raw.KeyID) > maxKeyIDBytes:
		return true, &KeyError{FaultKeyID, `"kid" is missing, empty or too long`}
	}
	return true, nil
}

// public returns the key that the numbers make.
func (raw *rawJWK) public() (key crypto.PublicKey, known bool, fault *KeyError) {
	if *raw.KeyType == "RSA" {
		key, fault := raw.rsa()
		return key, true, fault
	}
	return raw.ecdsa()
}

// number decodes a number, refusing the line breaks that encoding/base64 skips
// and bits that encode nothing. It returns nil if there is none.
func number(text string) []byte {
	data, err := decoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil
	}
	return data
}

func (raw *rawJWK) rsa() (*rsa.PublicKey, *KeyError) {
	n, e := number(raw.N), number(raw.E)
	if len(n) == 0 || len(e) == 0 {
		return nil, &KeyError{FaultMissing, `"n" or "e" is missing or not base64url`}
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > maxExponent {
		return nil, &KeyError{FaultExponent, "RSA public exponent above 2^31-1"}
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (raw *rawJWK) ecdsa() (key crypto.PublicKey, known bool, fault *KeyError) {
	var curve elliptic.Curve
	switch raw.Curve {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	case "":
		return nil, true, &KeyError{FaultMissing, `no "crv"`}
	case "P-224": // too weak, not merely unknown
		return nil, true, &KeyError{FaultCurve, `"crv" is P-224`}
	default:
		return nil, false, &KeyError{FaultCurve, `"crv" is none of P-256, P-384 and P-521`}
	}
	x, y := number(raw.X), number(raw.Y)
	// RFC 7518, section 6.2.1.2: the full size of a coordinate, zeros included.
	if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return nil, true, &KeyError{FaultPoint, `"x" or "y" is missing, not base64url or not of the size of the curve`}
	}
	point, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, true, &KeyError{FaultPoint, "ECDSA public key is not a point of " + raw.Curve}
	}
	return point, true, nil
}
