// Package external is both ends of Kubernetes' protocol for external signers, by
// which another process holds the keys of a cluster (KEP-740).
//
// A [Signer] asks a [Service] for signatures and keys and checks what it answers. A
// [Server] is a Service that signs with any [keys.TypedSigner], such as a ring:
//
//	server, err := external.NewServer(external.ServerConfig{
//		Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime(),
//	})
//
// The module keys/external/grpc connects the two by gRPC on a Unix socket.
package external
