// Package external is both ends of Kubernetes' API for external signers, by which
// another process holds the keys of a cluster (KEP-740).
//
// A [Signer] asks a [Service] for signatures and keys:
//
//	signer, err := external.NewSigner(external.SignerConfig{Service: service})
//	…
//	err = signer.WaitForKeys(ctx)
//	…
//	go signer.Run(ctx)
//
// A [Server] is a Service that signs with any [keys.TypedSigner], such as a
// keyring.Ring:
//
//	server, err := external.NewServer(external.ServerConfig{
//		Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime(),
//	})
//
// The module keys/external/grpc connects the two by gRPC on a Unix socket.
//
// # Failure
//
// A Signer keeps its last good keys while they can't be fetched; [Signer.Err] says
// why. Errors of Sign mean that nothing was signed, and can be retried. Calls of a
// Service that panic or hang become errors.
//
// # Security
//
// A Signer returns no token that the service's own keys don't verify. Whoever can call
// a Server can have any token signed.
//
// # Compatibility
//
// Requests, checks, retries and texts are those of kube-apiserver.
package external
