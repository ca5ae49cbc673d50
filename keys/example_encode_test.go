package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// Publish the keys of any Source. One that is unusable is left out and
// reported.
func ExampleEncodeJWKS() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamEC))
	if err != nil {
		fmt.Println(err)
		return
	}
	good, err := keys.NewPublicKey(list[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	weak := keys.PublicKey{ID: "weak", Algorithm: keys.ES256, Key: key.Public()}

	data, bad, err := keys.EncodeJWKS([]keys.PublicKey{good, weak})
	fmt.Println(string(data), err)
	fmt.Println(bad)

	_, _, err = keys.EncodeJWKS([]keys.PublicKey{weak})
	fmt.Println(errors.Is(err, keys.ErrNoKeys))

	// Output:
	// {"keys":[{"use":"sig","kty":"EC","kid":"SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc","crv":"P-256","alg":"ES256","x":"H6cuzP8XuD5wal6wf9M6xDljTOPLX2i8uIp_C_ASqiI","y":"BlHnikLV9PyEd6gl8k4T_3Wwoh6xd79XLoQTh2PAi1Y"}]} <nil>
	// [keys: could not marshal issuer discovery JSON, error: error constructing JWK for key #1: unknown private key curve, must be 256, 384, or 521: unusable key: ECDSA curve is none of P-256, P-384 and P-521]
	// true
}

// Keep a private key in a file of mode 0600.
func ExampleEncodePrivateKey() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := keys.EncodePrivateKey(key)
	fmt.Println(string(text[:27]), err)

	// Output:
	// -----BEGIN PRIVATE KEY----- <nil>
}

// Write the public keys of an issuer for its verifiers, one after the other.
func ExampleEncodePublicKey() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamEC))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := keys.EncodePublicKey(list[0])
	fmt.Print(string(text), err)

	// Output:
	// -----BEGIN PUBLIC KEY-----
	// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEH6cuzP8XuD5wal6wf9M6xDljTOPL
	// X2i8uIp/C/ASqiIGUeeKQtX0/IR3qCXyThP/dbCiHrF3v1cuhBOHY8CLVg==
	// -----END PUBLIC KEY-----
	// <nil>
}

// Send a Cache-Control header with the keys of a Source.
func ExampleMaxAge() {
	key, _ := keys.Generate(keys.ES256)
	set, err := keys.NewSet(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("Cache-Control: public, max-age=%.0f\n", keys.MaxAge(set).Seconds())

	// Output:
	// Cache-Control: public, max-age=3600
}

// A key verifies one algorithm only, which its type and size decide.
func ExampleAlgorithmOf() {
	key, _ := keys.Generate(keys.ES384)
	fmt.Println(keys.AlgorithmOf(key.Public()))

	weak, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	_, err := keys.AlgorithmOf(weak.Public())
	fmt.Println(err)

	// Output:
	// ES384 <nil>
	// keys: unusable key: ECDSA curve is none of P-256, P-384 and P-521
}

// A verification key has the ID that the tokens signed with it carry.
func ExampleNewPublicKey() {
	key, _ := keys.Generate(keys.ES256)
	public, err := keys.NewPublicKey(key.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	id, _ := keys.ID(key.Public())
	found, err := keys.SetOf([]keys.PublicKey{public}).PublicKeys(context.Background(), id)
	fmt.Println(public.ID == id, public.Algorithm, len(found), err)

	// Output:
	// true ES256 1 <nil>
}
