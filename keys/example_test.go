package keys_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// Make a key, keep it in a file, sign with it, and give verifiers the public
// half.
func Example() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := keys.EncodePrivateKey(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "sa.key")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		fmt.Println(err)
		return
	}

	private, err := keys.ReadPrivateKeyFile(name)
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := keys.NewSigner(private)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifiers, err := keys.NewSet(private.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := signer.Sign(context.Background(), []byte(`{"sub":"system:serviceaccount:default:default"}`))
	known, _ := verifiers.PublicKeys(context.Background(), signer.PublicKey().ID)
	fmt.Println("signed:", token != "" && err == nil)
	fmt.Println("verifiers know the key:", len(known) == 1, known[0].Algorithm)

	// Output:
	// signed: true
	// verifiers know the key: true ES256
}

// The id of a key is the one that Kubernetes gives it.
func ExampleID() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamEC))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys.ID(list[0]))

	// Output:
	// SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc <nil>
}

// A key of an unsupported type is rejected with a KeyError.
func ExampleNewSigner() {
	_, err := keys.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if e, ok := errors.AsType[*keys.KeyError](err); ok {
		fmt.Printf("%s: %s\n", e.Reason, e.Problem)
	}

	// Output:
	// Type: type ed25519.PublicKey, want *rsa.PublicKey or *ecdsa.PublicKey
}

// A set knows the public halves of the keys that it is given.
func ExampleNewSet() {
	old, _ := keys.Generate(keys.ES256)
	current, _ := keys.Generate(keys.ES384)
	set, err := keys.NewSet(current, old.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	all, _ := set.PublicKeys(context.Background(), "")
	for _, key := range all {
		fmt.Println(key.Algorithm)
	}
	none, err := set.PublicKeys(context.Background(), "unknown")
	fmt.Println(len(none), err)

	// Output:
	// ES384
	// ES256
	// 0 <nil>
}

// The keys of another cluster, as it publishes them.
func ExampleParseJWKS() {
	set, err := keys.ParseJWKS([]byte(`{"keys":[
		{"use":"sig","kty":"EC","kid":"SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc","crv":"P-256","alg":"ES256",
		 "x":"H6cuzP8XuD5wal6wf9M6xDljTOPLX2i8uIp_C_ASqiI","y":"BlHnikLV9PyEd6gl8k4T_3Wwoh6xd79XLoQTh2PAi1Y"},
		{"kty":"AKP","kid":"new","alg":"ML-DSA-65","pub":"AA"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	list, _ := set.PublicKeys(context.Background(), "")
	fmt.Println(len(list), list[0].Algorithm, list[0].ID)
	fmt.Println(set.Skipped()[0])

	_, err = keys.ParseJWKS([]byte("<html>"))
	fmt.Println(err)

	// Output:
	// 1 ES256 SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc
	// keys: JWK Set: key #1 "new": unusable key: "kty" is neither RSA nor EC
	// keys: malformed JWK Set: not a JSON object: it is HTML or XML
}

// Publish the keys of a key file.
func ExampleSet_JWKS() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamEC))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := keys.NewSet(list...)
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := set.JWKS()
	fmt.Println(string(data), err)

	// Output:
	// {"keys":[{"use":"sig","kty":"EC","kid":"SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc","crv":"P-256","alg":"ES256","x":"H6cuzP8XuD5wal6wf9M6xDljTOPLX2i8uIp_C_ASqiI","y":"BlHnikLV9PyEd6gl8k4T_3Wwoh6xd79XLoQTh2PAi1Y"}]} <nil>
}

// Find out at the start that the files of two pairs were mixed up.
func ExampleSelfTest() {
	mine, _ := keys.Generate(keys.ES256)
	another, _ := keys.Generate(keys.ES256)
	signer, err := keys.NewSigner(mine)
	if err != nil {
		fmt.Println(err)
		return
	}
	right, _ := keys.NewSet(mine.Public())
	wrong, _ := keys.NewSet(another.Public())
	fmt.Println(keys.SelfTest(context.Background(), signer, right))
	fmt.Println(errors.Is(keys.SelfTest(context.Background(), signer, wrong), keys.ErrMismatch))

	// Output:
	// <nil>
	// true
}

// Verify with the key files of a kube-apiserver, which may be replaced at any
// time.
func ExampleOpenFileSource() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "sa.pub")
	if err := os.WriteFile(name, []byte(keystest.UpstreamRSA+keystest.UpstreamEC), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	source, err := keys.OpenFileSource(context.Background(), keys.FileSourceConfig{Files: []string{name}})
	if err != nil {
		fmt.Println(err)
		return
	}
	list, _ := source.PublicKeys(context.Background(), "JHJehTTTZlsspKHT-GaJxK7Kd1NQgZJu3fyK6K_QDYU")
	fmt.Println(len(list), list[0].Algorithm, source.Err())

	// Output:
	// 1 RS256 <nil>
}

// Write a Source of your own: here, one of a key that is kept out of discovery.
func ExampleSetOf() {
	key, _ := keys.Generate(keys.ES384)
	public, err := keys.NewPublicKey(key.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	public.ID, public.Unpublished = "hidden", true
	set := keys.SetOf([]keys.PublicKey{public})
	found, _ := set.PublicKeys(context.Background(), "hidden")
	_, err = set.JWKS()
	fmt.Println(len(found), err, keys.MaxAge(set))

	// Output:
	// 1 keys: no keys provided for validating keyset 1h0m0s
}

// Generate a key and keep it as PEM.
func ExampleGenerate() {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := keys.EncodePrivateKey(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := keys.ParsePrivateKey(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	algorithm, err := keys.AlgorithmOf(again.Public())
	fmt.Println(algorithm, err)

	_, err = keys.Generate("HS256")
	fmt.Println(err)

	// Output:
	// ES256 <nil>
	// keys: unknown algorithm "HS256", want one of RS256, ES256, ES384, ES512
}
