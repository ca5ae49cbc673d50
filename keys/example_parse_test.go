package keys_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// Read the text of a key file. The error never holds any of it.
func ExampleParsePrivateKey() {
	key, _ := keys.Generate(keys.ES256)
	text, err := keys.EncodePrivateKey(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	private, err := keys.ParsePrivateKey(text)
	fmt.Printf("%T %v\n", private, err)

	_, err = keys.ParsePrivateKey([]byte(keystest.UpstreamEC)) // a public key
	fmt.Println(errors.Is(err, keys.ErrNoPrivateKey))

	// Output:
	// *ecdsa.PrivateKey <nil>
	// true
}

// Read all public keys of a bundle, such as that of a rotation.
func ExampleParsePublicKeys() {
	list, err := keys.ParsePublicKeys([]byte(keystest.UpstreamRSA + keystest.UpstreamEC))
	for _, key := range list {
		algorithm, err := keys.AlgorithmOf(key)
		fmt.Println(algorithm, err)
	}
	fmt.Println(err)

	_, err = keys.ParsePublicKeys([]byte("not PEM"))
	fmt.Println(errors.Is(err, keys.ErrNoPublicKeys))

	// Output:
	// RS256 <nil>
	// ES256 <nil>
	// <nil>
	// true
}

// Sign with the key file of kube-apiserver's flag
// --service-account-signing-key-file.
func ExampleReadPrivateKeyFile() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "sa.key")
	key, _ := keys.Generate(keys.ES256)
	text, _ := keys.EncodePrivateKey(key)
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
	fmt.Println(signer.PublicKey().Algorithm, err)

	_, err = keys.ReadPrivateKeyFile(filepath.Join(dir, "missing.key"))
	fmt.Println(errors.Is(err, os.ErrNotExist))

	// Output:
	// ES256 <nil>
	// true
}

// Verify with the key files of kube-apiserver's flag
// --service-account-key-file, read once. OpenFileSource follows their changes.
func ExampleReadPublicKeyFiles() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	current, old := filepath.Join(dir, "current.pub"), filepath.Join(dir, "old.pub")
	for name, text := range map[string]string{current: keystest.UpstreamEC, old: keystest.UpstreamRSA} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			fmt.Println(err)
			return
		}
	}
	list, err := keys.ReadPublicKeyFiles(current, old)
	fmt.Println(len(list), err)

	_, err = keys.ReadPublicKeyFiles(current, filepath.Join(dir, "missing.pub"))
	fmt.Println(errors.Is(err, os.ErrNotExist))

	// Output:
	// 2 <nil>
	// true
}
