// Package externalgrpc connects the two ends of Kubernetes' API for external signers,
// ExternalJWTSigner of k8s.io/externaljwt version 1, by gRPC on a Unix socket. It is a
// module of its own, so that only programs that need it link gRPC.
//
// The process that has the keys serves them, for example to a kube-apiserver with
// --service-account-signing-endpoint=/run/signer.sock, whose keys can then be rotated
// without a restart:
//
//	ring, err := keyring.Open(ctx, "/var/lib/keys", keyring.Config{})
//	…
//	server, err := external.NewServer(external.ServerConfig{
//		Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime(),
//	})
//	…
//	err = externalgrpc.Serve(ctx, "/run/signer.sock", server)
//
// A program that issues tokens is the client:
//
//	client, err := externalgrpc.Dial("/run/signer.sock")
//	…
//	defer client.Close()
//	signer, err := external.NewSigner(external.SignerConfig{Service: client})
//	…
//	err = signer.WaitForKeys(ctx)
//	…
//	go signer.Run(ctx)
//
// # Failure
//
// A [Client] connects when it is first used and again when the connection is lost.
// Its errors are those of gRPC. The codes of the server's are described at [NewServer].
//
// # Security
//
// Each end asks the kernel which user is at the other one, and closes the connection
// unless it is this user, root, or one that was named to [Dial] or [Serve]. Besides,
// the mode of the socket and its folder decide who reaches it. An abstract socket has
// neither, and is reached by everybody in the network namespace: by root in a
// container with the host's network, too. Use paths, unless no such container is to be
// feared.
//
// [external.Signer] checks what the server answers, this package doesn't.
package externalgrpc
