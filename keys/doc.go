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
// A [Signer] makes compact JWS, a [Source] knows the keys that verify them.
// Both are one-method interfaces: [LocalSigner] signs with one key, in memory
// or behind any [crypto.Signer]; [Set] is a Source of keys that don't change.
//
// Other Sources follow keys that change: [FileSource] reads key files again,
// [discovery.Remote] fetches what any issuer publishes. A [keyring.Ring] is both Signer and Source,
// and replaces its keys without refusing a valid token; [keyring.Open] keeps it in a
// folder. An [external.Signer] leaves the keys to another process. [discovery.Publisher]
// publishes the keys of any Source over HTTP or as files, and [SelfTest] proves
// that a Source verifies what a Signer signs.
//
// A key is known by its [ID], which depends on nothing but the key, and has one
// [Algorithm], which follows from its type: RS256, ES256, ES384 or ES512.
//
// # Failure
//
// A key that is weak, broken or of another type is refused with a [*KeyError]
// wherever it enters: read from PEM, given to [NewSet] or [NewSigner]. Its
// Fault names what is wrong, and only another key helps.
//
// A Source that can't be consulted returns an error; one that is up to date and
// doesn't know an id returns no keys and no error. Only the second says
// something about the token.
//
// # Security
//
// Errors never hold key material, nor any of the text that was parsed. Signers
// print as the id of their key under every verb and encoder. Private keys are
// those of crypto/rsa and crypto/ecdsa; don't print these.
//
// RSA keys have 2048 to 8192 bits. HMAC, EdDSA, RSASSA-PSS and the none
// algorithm don't exist here, and no key verifies two algorithms.
//
// # Compatibility
//
// Key ids, algorithms and the PEM forms that are read are those of Kubernetes.
// Also read are ECDSA keys in PKCS#8 and RSA keys in PKCS#1 in lists of public
// keys, which Kubernetes skips. RSA keys below 2048 bits and the curve P-224,
// which it reads, are refused.
package keys
