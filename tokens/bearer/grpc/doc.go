// Package bearergrpc authenticates gRPC calls by the ServiceAccount tokens in their
// metadata, as package bearer does HTTP requests.
//
//	interceptors, err := bearergrpc.New(bearergrpc.Config{Verifier: authenticator, Audiences: []string{"vault"}})
//	…
//	server := grpc.NewServer(
//		grpc.UnaryInterceptor(interceptors.Unary),
//		grpc.StreamInterceptor(interceptors.Stream),
//	)
//
// A handler learns who calls by [bearer.IdentityFrom].
//
// # Failure
//
// A call without a valid token ends with Unauthenticated, one that [Config.Authorize]
// denies with PermissionDenied, and one whose token could not be checked with
// Unavailable. None of them reaches the handler.
//
// # Security
//
// The handler doesn't get the token, which is removed from the metadata. A stream is
// authenticated when it begins: it outlives the token and its revocation. Bound the age
// of connections, or authenticate again, where that matters. Serve over TLS: whoever
// reads a token is the ServiceAccount.
package bearergrpc
