// Package jose parses, verifies and signs compact JWS (RFC 7515) and JSON Web Keys
// (RFC 7517), as strictly as ServiceAccount tokens allow. It is the only package that
// imports go-jose, and exports none of its types.
//
// # Parsing
//
// [Parse] comes first. It accepts one form: three non-empty base64url parts; a header
// with "alg" and optionally "kid" and "typ", all strings; a payload that is one JSON
// object without duplicate names. Whatever else RFC 7515 allows (JSON serialization,
// detached or unencoded payloads, "crit", keys or URLs of keys in the header) is
// rejected: no issuer of ServiceAccount tokens uses it, and each has been a
// vulnerability of some verifier. Length is checked before anything is decoded, and
// depth before anything recurses, so hostile input costs less than a valid token.
//
// Parse has read every byte before a signature is checked, so [Token.Verify] is one
// call to crypto/rsa or crypto/ecdsa. Tests compare its result with that of go-jose
// for every vector and mutation.
//
// # Algorithms
//
// The key decides the algorithm, see [AlgorithmOf]: RS256 for RSA, ES256, ES384 and
// ES512 for the three curves. A header that names another one is rejected before any
// cryptography. There are no shared secrets, so a public key can't be mistaken for
// one.
//
// # What is not used
//
// JWE, PBES2, the jwt package and JWK thumbprints of go-jose are never called.
package jose
