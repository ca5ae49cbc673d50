package external_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
)

// The process that has the key, and the issuer that asks it. Between the two is usually
// a socket, which module keys/external/grpc serves and dials.
func ExampleNewSigner() {
	ctx := context.Background()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	local, err := keys.NewSigner(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := external.NewServer(external.ServerConfig{
		Signer:           local,
		Keys:             keys.SetOf([]keys.PublicKey{local.PublicKey()}),
		MaxTokenLifetime: 24 * time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	signer, err := external.NewSigner(external.SignerConfig{Service: server})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signer.WaitForKeys(ctx))
	fmt.Println(keys.SelfTest(ctx, signer, signer))

	// Output:
	// <nil>
	// <nil>
}

// All mistakes in the configuration are reported at once.
func ExampleNewServer() {
	_, err := external.NewServer(external.ServerConfig{MaxTokenLifetime: time.Minute})
	fmt.Println(err)
	if mistake, ok := errors.AsType[*external.ConfigError](err); ok {
		fmt.Println("the first is in", mistake.Field)
	}

	// Output:
	// external: ServerConfig.Signer is required, want a keys.TypedSigner
	// external: ServerConfig.Keys is required, want a keys.Source
	// external: ServerConfig.MaxTokenLifetime is 1m0s, want at least 10m0s
	// the first is in Signer
}
