// Package tokenreview answers TokenReviews as kube-apiserver does, and asks an API
// server with them: [Review] answers in Go, [NewHandler] over HTTP, as a webhook for
// token authentication; [NewClient] returns the client.
//
//	handler, err := tokenreview.NewHandler(tokenreview.HandlerConfig{
//		Verifier: authenticator,
//	})
//	…
//	mux.Handle("/authenticate", handler)
//
// A service that has no keys asks the API server of its clients whose token it is:
//
//	client, err := tokenreview.NewClient(tokenreview.ClientConfig{
//		Reviews:   serviceaccount.FromAuthenticationV1(clientset.AuthenticationV1()),
//		Audiences: []string{"vault"},
//	})
//	…
//	identity, err := client.Authenticate(ctx, token)
//
// # Failure
//
// The client returns the errors of [tokens.Verifier]. It can't tell an outage of what
// the API server asks itself from a bad token; both are rejected.
//
// A token that is not recognized leaves status.error empty, so that the API server
// asks its next authenticator. A rejected one has the text of its
// [tokens.InvalidError]. A lookup that fails or panics fails closed: status.error
// says only that the token could not be verified, because an answer without an
// error may be cached.
//
// # Security
//
// Answers leave the token out. No answer holds names, UIDs or key ids beyond the
// authenticated user; [tokens.AuthenticatorConfig.Observe] gets the details, and
// [HandlerConfig.Observe] each request.
package tokenreview
