// Package tokens makes and judges the tokens of Kubernetes ServiceAccounts.
//
// An [Issuer] signs, an [Authenticator] says who presents a token:
//
//	issuer, err := tokens.NewIssuer(tokens.IssuerConfig{
//		Issuer: "https://kubernetes.default.svc",
//		Signer: signer, // a keys.Signer
//	})
//	…
//	token, err := issuer.Issue(ctx, tokens.IssueRequest{
//		ServiceAccount: account,
//		Audiences:      []string{"api"},
//		Pod:            pod,
//	})
//	…
//	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
//		Issuers:         []string{"https://kubernetes.default.svc"},
//		Keys:            set, // a keys.Source
//		APIAudiences:    []string{"api"},
//		ServiceAccounts: getter,
//		Pods:            getter,
//	})
//	…
//	identity, err := authenticator.Authenticate(ctx, token.Value)
//	user := identity.UserInfo()
//
// Around them stand a [tokenrequest.Requester], which answers TokenRequests; [Authenticator.Review]
// and [tokenreview.NewHandler], which answer TokenReviews; a [lastused.Tracker], which records the
// use of tokens in Secrets; and for clients a [tokensource.Source] and a [tokensource.Transport], which keep a
// token fresh and send it. [tokensource.WaitPopulated] and [Explain] say why there is no token, or why
// it is refused.
//
// # Concepts
//
// There are two kinds of tokens. A bound token is made by [Issuer.Issue] for
// audiences and a time, and may be bound to a Pod, a Secret, a Node, a webhook
// configuration or, for verifiers that use this library, any [BoundObject]: it
// ends with that object. A legacy token is made by [Issuer.IssueLegacy], stands in
// a Secret, has no expiry, and holds as long as the Secret has it. Which Secrets
// those are is what [IsTokenSecretOf] says.
//
// The Authenticator looks every object up for every token, through getters of
// one method each, so it notices a deletion as soon as they do. A kind that
// has no getter makes the tokens that are bound to it unacceptable. It remembers
// only which signatures are good. [CacheGetters] remembers objects too, for getters
// that are slow, and says what that costs.
//
// All issuers of one Authenticator share its keys. Issuers that don't trust each
// other have one each; [tokenreview.HandlerConfig.Others] asks them in turn. A [Policy]
// refuses more than Kubernetes does, and a [ClaimsExtender] adds claims, which
// [ClaimOf] reads.
//
// # Failure
//
// [Authenticator.Authenticate] fails in three ways, which callers treat
// differently. [ErrNotRecognized]: not this issuer's, ask the next
// authenticator. [*InvalidError]: refused, with a [Reason] for programs.
// [*UnavailableError]: a lookup failed, which is never taken for a yes; try
// again. [Issuer.Issue] tells a bad request, [*RequestError], from a signer that
// failed. [tokenrequest.Requester.Create] returns the status that kube-apiserver would.
// A TokenReview says of a failed lookup that the token could not be judged, and
// nothing of a token that is not recognized.
//
// # Security
//
// The signature is checked before any claim but the issuer is read, with the
// one algorithm that belongs to the key. Claims are read strictly: wrong types,
// repeated names, names that only differ in case from those that count, claims
// of both kinds, and a subject that isn't the account are refused.
//
// No error holds a part of a token, a name, a UID or a key id, except for
// those of lookups, which wrap what the getter said. [Event] has the details for
// the operator. A [Token] prints without its value. An ECDSA signature can be
// changed into another good one by anybody, so know tokens by
// [Identity.CredentialID], not by their text.
//
// # Compatibility
//
// Claims, order of checks, user infos and clock skew are those of Kubernetes
// 1.37. Different on purpose, and stricter: bound tokens must have "exp" and
// "aud", times are whole seconds, "sub" must be the account, audiences are at
// most 64 and not repeated, a legacy token must stand in a Secret of the token
// type, white space around a token is not ignored, and API audiences can't be
// left out. Answers to TokenReviews leave the token out.
package tokens
