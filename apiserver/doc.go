// Package apiserver gives ServiceAccounts to servers that are built on k8s.io/apiserver,
// without k8s.io/kubernetes: tokens authenticate requests, the API issues and reviews
// them, admission gives pods their accounts, and the issuer's keys are published.
//
// A server needs a [Config] and four calls:
//
//	parts, err := apiserver.New(apiserver.Config{
//		Scheme: scheme,
//		Issuer: tokenissuer.Config{Issuer: "https://api.example", Signer: ring},
//		Keys:   ring,
//		Live: lookup.FromStorage(scheme, lookup.Storage{
//			ServiceAccounts: accounts, Secrets: secrets, Pods: pods, // stores of the registry
//		}),
//	})
//	…
//	err = parts.ApplyTo(&config.Config)                      // before the server is made
//	core["v1"][apiserver.TokenResource] = parts.TokenREST    // serviceaccounts/token
//	…
//	err = parts.Install(server)                              // authentication.k8s.io, discovery
//
// and, for pods, [RegisterAdmission] beside the server's other plugins, with
// [Parts.Initializer] among their initializers; package admissionconfig reads its file.
//
// Controllers that create accounts and fill token Secrets are clients, as everywhere:
// see packages sacontroller and sacontroller/manager.
//
// # Concepts
//
// Every part can be used alone: [NewTokenAuthenticator] and [NewBearerAuthenticator]
// authenticate, [ObserveAuthentication] and [ObserveTokenRequest] tell the request's
// audit event and its client, [NewTokenREST], [NewTokenReviewREST] and
// [NewSelfSubjectReviewREST] are storage, [NewAdmissionPlugin] admits pods,
// [InstallDiscovery] adds routes, and [ClusterRoles] are what they need of RBAC.
//
// A server works with one version of each type and converts requests to it. If that is
// v1, [AddHub] says so to its scheme; if it has internal types, as kube-apiserver, its
// scheme converts them.
//
// Getters, of package lookup, get the context of the request. [lookup.FromStorage] reads
// the server's own storage with it, so a tenant that the server keeps in the context is
// that of every lookup.
//
// # Failure
//
// Constructors return an error naming every invalid field, each as a [*ConfigError]. A
// token that isn't recognized is left to other authenticators; one that is rejected, or
// can't be looked up, is an error and a 401. Admission denies what it can't decide: an
// object that is no pod, and everything before its informers have synced.
//
// # Security
//
// A union of authenticators asks the next one after an error, as in kube-apiserver, so it
// may accept a token that is rejected here. An invalid token makes nobody anonymous.
// Texts for clients hold nothing of a failed lookup.
//
// # Compatibility
//
// What a client observes is what kube-apiserver v1.37 does. Metrics of authentication are
// those of the server's own filters.
package apiserver
