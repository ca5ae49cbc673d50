// Package tokenreview answers TokenReviews as kube-apiserver does: [Review] in Go,
// [NewHandler] over HTTP, as a webhook for token authentication.
//
//	handler, err := tokenreview.NewHandler(tokenreview.HandlerConfig{
//		Authenticators: []*tokens.Authenticator{authenticator},
//	})
//	…
//	mux.Handle("/authenticate", handler)
//
// # Failure
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
