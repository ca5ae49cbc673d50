// Package tokenrequest answers TokenRequests as kube-apiserver does.
//
//	requester, err := tokenrequest.New(tokenrequest.Config{
//		Issuer:          issuer, // a *tokenissuer.Issuer
//		APIAudiences:    []string{"api"},
//		ServiceAccounts: getter,
//		Pods:            getter, // allows tokens bound to pods
//	})
//	…
//	answer, err := requester.Create(ctx, "ci", "builder", request)
//
// Defaults, validation, their order and texts are those of Kubernetes 1.37.
//
// # Warnings and audit annotations
//
// [Config.Observe] is called once per request, before [Requester.Create] returns,
// with the context of the request. Put the response or the audit event into that
// context, as the example of Create does: [Event.Warnings] become Warning headers,
// [Event.AuditAnnotations] go to the audit event.
//
// # Failure
//
// Create returns the status that kube-apiserver would, or the error of a getter.
// Only InternalError and errors of getters may be retried. A getter that returns
// neither an object nor an error is an InternalError.
//
// # Security
//
// The caller is not authorized here, except through [Config.Authorize]. The
// status of an answer holds the token: don't log it. An Event never does.
package tokenrequest
