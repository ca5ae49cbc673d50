// Package keys holds the keys of a service-account issuer: the private key
// that signs tokens and the public keys that verify them.
//
// A key file of Kubernetes is enough to start:
//
//	private, err := keys.ReadPrivateKeyFile("sa.key")
//	…
//	signer, err := keys.NewSigner(private)
//	…
//	set, err := keys.NewSet(private)
//
// # Concepts
//
// A [Signer] signs compact JWS; a [Source] has the keys that verify them. Both are
// one-method interfaces. [LocalSigner] signs with one key, in memory or behind any
// [crypto.Signer]. [Set] is a Source of constant keys, and [FileSource] one of key files
// that may change. [SelfTest] checks that a Source verifies what a Signer signs.
//
// Packages below this one have others: a keyring.Ring is both and rotates its keys
// without rejecting a valid token; a discovery.Remote fetches the keys of any issuer,
// and a discovery.Publisher publishes those of any Source; an external.Signer asks
// another process for signatures and keys.
//
// A key has an [ID], the hash of its public half, and one [Algorithm], which follows
// from its type: RS256, ES256, ES384 or ES512.
//
// # Failure
//
// A key that is weak, broken or of an unsupported type is rejected with a [*KeyError]
// wherever it enters: when it is parsed, and by [NewSet] and [NewSigner]. This is
// permanent; its Reason says what is wrong.
//
// A Source that can't be asked returns an error, which can be retried. One that is up to
// date and doesn't have an id returns no keys and no error. Only the second says
// something about the token.
//
// # Security
//
// Errors never hold key material, nor any of the text that was parsed. Signers
// print as the id of their key under every verb and encoder. Private keys are
// those of crypto/rsa and crypto/ecdsa: never print these.
//
// RSA keys have 2048 to 8192 bits. HMAC, EdDSA, RSASSA-PSS and the none algorithm are
// not supported, and no key verifies two algorithms.
//
// # Compatibility
//
// Key ids, algorithms and PEM forms are those of Kubernetes. ECDSA keys in PKCS#8 and
// RSA keys in PKCS#1, which Kubernetes skips in lists of public keys, are read too. RSA
// keys of less than 2048 bits and the curve P-224, which it accepts, are rejected.
package keys
