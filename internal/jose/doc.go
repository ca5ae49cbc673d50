// Package jose reads, checks and makes compact JWS, and reads and writes JSON
// Web Keys, as strictly as service-account tokens allow. It is the only
// package that knows go-jose, and no type of go-jose leaves it.
//
// # The guard
//
// [Parse] stands in front of everything else. It accepts one form: three
// non-empty base64url parts; a header with "alg", and optionally "kid" and
// "typ", all strings; a payload that is one JSON object without duplicate
// names. Whatever else RFC 7515 allows (JSON serialization, detached or
// unencoded payloads, "crit", keys or addresses of keys in the header) is
// rejected: no issuer of service-account tokens uses it, and each has been a
// vulnerability of some verifier. Length is bounded before anything is
// decoded, depth before anything recurses, so that hostile input costs less
// than a good token.
//
// The guard has read every byte by the time a signature is checked. [Token.Verify]
// therefore makes one call to crypto/rsa or crypto/ecdsa; tests compare its result
// with that of go-jose on every vector and mutation.
//
// # Algorithms
//
// The algorithm is a function of the key, [AlgorithmOf]: RS256 for RSA, ES256,
// ES384 and ES512 for the three curves. A header that names another one is
// rejected before any cryptography. There are no shared secrets, so that a
// public key can't be taken for one.
//
// # What is not used
//
// JWE, PBES2, the jwt package and JWK thumbprints of go-jose are never called.
package jose
