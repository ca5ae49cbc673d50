// Package tokenissuer issues tokens of Kubernetes ServiceAccounts, which package tokens
// authenticates.
//
//	issuer, err := tokenissuer.New(tokenissuer.Config{
//		Issuer: "https://kubernetes.default.svc",
//		Signer: signer, // a keys.Signer
//	})
//	…
//	token, err := issuer.Issue(ctx, tokenissuer.Request{
//		ServiceAccount: account,
//		Audiences:      []string{"api"},
//		Pod:            pod,
//	})
//
// It is for programs that hold signing keys. One that answers TokenRequests needs
// tokens/tokenrequest, which looks the objects up and decides on audiences and
// lifetimes. Clients have tokens/tokensource.
//
// # Concepts
//
// [Issuer.Issue] issues a bound token, for audiences and a lifetime. It may be bound to
// a Pod, a Secret, a Node, a webhook configuration or, for verifiers that use this
// library, any [tokens.BoundObject]: when the object is deleted, the token is revoked.
// [Issuer.IssueLegacy] issues a Secret-based token, which doesn't expire and is valid as
// long as its Secret holds it.
//
// A [ClaimsExtender] adds claims, which [tokens.ClaimOf] reads, and Config.ClusterClaim
// names the cluster of the context.
//
// # Failure
//
// The error of [New] names every invalid field, each as a [*ConfigError]. Whether
// the published keys verify what the signer signs, [keys.SelfTest] says: call it at
// startup. [Issuer.Issue] tells a bad request, [*RequestError], which only another request
// helps, from a signer or an extender that failed, which is retryable.
//
// # Security
//
// An Issuer looks nothing up and authorizes nobody: whoever can call it can act as any
// ServiceAccount. A signer that isn't a [keys.LocalSigner] is not trusted: its panics and
// hung calls end in an error, and so does a token of other claims or, if the keys are
// known, of another key. No error holds a part of a token, and a [tokens.Token] prints
// without its value.
//
// # Compatibility
//
// Claims and their order are those of Kubernetes 1.37. Stricter on purpose: audiences are
// at most 64, and no token is longer than 16 KiB, which is as much as verifiers read.
package tokenissuer
