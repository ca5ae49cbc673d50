package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	jose "gopkg.in/square/go-jose.v2"
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
// about a key wraps a [*KeyError], any other is a [*MalformedError].
func ParseJWKS(data []byte) (keys []JWK, skipped []error, err error) {
	if len(data) > maxJWKSBytes {
		return nil, nil, &MalformedError{"JWK Set", "too long"}
	}
	if fault := checkObject(data, maxJWKSDepth, members); fault != "" {
		return nil, nil, &MalformedError{"JWK Set", fault}
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
		key, known, err := parseJWK(data)
		if err == nil && known && seen[key.KeyID] {
			err = &KeyError{FaultKeyID, `"kid" of another key of the set`}
		}
		switch {
		case err != nil && known:
			return nil, nil, fmt.Errorf("key #%d: %w", i, err)
		case err != nil:
			skipped = append(skipped, fmt.Errorf("key #%d: %w", i, err))
		default:
			seen[key.KeyID] = true
			keys = append(keys, key)
		}
	}
	return keys, skipped, nil
}

// parseJWK reads one key. If known is false, err says why it isn't one that we
// know anything about.
func parseJWK(data []byte) (key JWK, known bool, err error) {
	var raw rawJWK
	if json.Unmarshal(data, &raw) != nil {
		return JWK{}, true, &KeyError{FaultMissing, "members of the wrong type"}
	}
	switch {
	case raw.K != nil || raw.D != nil || raw.P != nil || raw.Q != nil || raw.DP != nil || raw.DQ != nil || raw.QI != nil || raw.Oth != nil,
		raw.KeyType != nil && *raw.KeyType == "oct":
		return JWK{}, true, &KeyError{FaultPrivate, "private or shared key where public ones belong"}
	case raw.KeyType == nil:
		return JWK{}, true, &KeyError{FaultMissing, `no "kty"`}
	case *raw.KeyType != "RSA" && *raw.KeyType != "EC":
		return JWK{}, false, &KeyError{FaultType, `"kty" is neither RSA nor EC`}
	case raw.Use != nil && *raw.Use != "sig":
		return JWK{}, true, &KeyError{FaultUse, `"use" is not sig`}
	case raw.KeyOps != nil && !slices.Contains(*raw.KeyOps, "verify"):
		return JWK{}, true, &KeyError{FaultUse, `"key_ops" has no verify`}
	case raw.KeyID == nil || *raw.KeyID == "" || len(*raw.KeyID) > maxKeyIDBytes:
		return JWK{}, true, &KeyError{FaultKeyID, `"kid" is missing, empty or too long`}
	}
	var public crypto.PublicKey
	if *raw.KeyType == "RSA" {
		public, err = raw.rsa()
	} else {
		public, known, err = raw.ecdsa()
		if !known {
			return JWK{}, false, err
		}
	}
	if err != nil {
		return JWK{}, true, err
	}
	alg, err := AlgorithmOf(public)
	if err != nil {
		return JWK{}, true, err
	}
	if raw.Algorithm != nil && *raw.Algorithm != alg {
		return JWK{}, true, &KeyError{FaultUse, `"alg" is not the algorithm of the key, ` + alg}
	}
	return JWK{KeyID: *raw.KeyID, Algorithm: alg, Key: public}, true, nil
}

func (raw *rawJWK) rsa() (*rsa.PublicKey, error) {
	n, errN := base64.RawURLEncoding.DecodeString(raw.N)
	e, errE := base64.RawURLEncoding.DecodeString(raw.E)
	if errN != nil || errE != nil || len(n) == 0 || len(e) == 0 {
		return nil, &KeyError{FaultMissing, `"n" or "e" is missing or not base64url`}
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > maxExponent {
		return nil, &KeyError{FaultExponent, "RSA public exponent above 2^31-1"}
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (raw *rawJWK) ecdsa() (key *ecdsa.PublicKey, known bool, err error) {
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
	x, errX := base64.RawURLEncoding.DecodeString(raw.X)
	y, errY := base64.RawURLEncoding.DecodeString(raw.Y)
	// RFC 7518, section 6.2.1.2: the full size of a coordinate, zeros included.
	size := (curve.Params().BitSize + 7) / 8
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, true, &KeyError{FaultPoint, `"x" or "y" is missing, not base64url or not of the size of the curve`}
	}
	key, err = ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, true, &KeyError{FaultPoint, "ECDSA public key is not a point of " + raw.Curve}
	}
	return key, true, nil
}
