package externalgrpc_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// exampleServer returns what serves a ring with one key.
func exampleServer(ctx context.Context) *external.Server {
	ring, err := keyring.New(keyring.Config{MaxTokenLifetime: 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	if _, err := ring.EnsureSigning(ctx, keys.ES256); err != nil {
		panic(err)
	}
	server, err := external.NewServer(external.ServerConfig{Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime()})
	if err != nil {
		panic(err)
	}
	return server
}

// One process serves a ring on a socket, another one signs with it.
func ExampleServe() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, err := os.MkdirTemp("", "signer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	endpoint := filepath.Join(dir, "s")
	stopped := make(chan error, 1)
	server := exampleServer(ctx)
	go func() { stopped <- externalgrpc.Serve(ctx, endpoint, server) }()
	for { // wait for the other process
		if _, err := os.Stat(endpoint); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}

	client, err := externalgrpc.Dial(endpoint)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	signer, err := external.NewSigner(external.SignerConfig{Service: client})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signer.WaitForKeys(ctx))
	fmt.Println(keys.SelfTest(ctx, signer, signer))
	stop()
	fmt.Println(<-stopped)

	// Output:
	// <nil>
	// <nil>
	// <nil>
}

// Listen where a gRPC server of your own serves the signer, beside services or with
// options that Serve doesn't have. The kernel tells who connects: other users than this
// one, root and those that are named here are turned away.
func ExampleListen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "signer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	endpoint := filepath.Join(dir, "s")
	listener, err := externalgrpc.Listen(ctx, endpoint)
	if err != nil {
		fmt.Println(err)
		return
	}
	answers, err := externalgrpc.NewServer(exampleServer(ctx))
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(100))
	externaljwtv1.RegisterExternalJWTSignerServer(server, answers)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()

	client, err := externalgrpc.Dial(endpoint)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	published, err := client.FetchKeys(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(published.Keys), "key")
	server.Stop() // closes the listener, which removes its socket
	_, err = os.Lstat(endpoint)
	fmt.Println(<-stopped, os.IsNotExist(err))

	// Output:
	// 1 key
	// <nil> true
}

// An endpoint is the path of a socket or the name of an abstract one.
func ExampleDial() {
	_, err := externalgrpc.Dial("@no spaces")
	fmt.Println(err)

	// Output:
	// externalgrpc: endpoint "@no spaces": want @ and a name of letters, digits, _ and -, with dots between them
}

// Register the service in a gRPC server of your own.
func ExampleNewServer() {
	s := grpc.NewServer()
	answers, err := externalgrpc.NewServer(exampleServer(context.Background()))
	if err != nil {
		fmt.Println(err)
		return
	}
	externaljwtv1.RegisterExternalJWTSignerServer(s, answers)
	for name := range s.GetServiceInfo() {
		fmt.Println(name)
	}

	// Output:
	// v1.ExternalJWTSigner
}
