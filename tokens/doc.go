// Package tokens authenticates tokens of Kubernetes ServiceAccounts.
//
//	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
//		Issuers:         []string{"https://kubernetes.default.svc"},
//		Keys:            set, // a keys.Source
//		APIAudiences:    []string{"api"},
//		ServiceAccounts: getter,
//		Pods:            getter,
//	})
//	…
//	identity, err := authenticator.Authenticate(ctx, token)
//	user := identity.UserInfo()
//
// The packages below it issue, serve and use them: tokens/tokenissuer issues them,
// tokens/tokenrequest answers TokenRequests, tokens/tokenreview answers TokenReviews,
// tokens/lastused records the use of Secret-based tokens, and tokens/tokensource is for
// clients, which keep a token fresh and send it. tokens/inspect tells a person why a
// token is rejected, and tokens/userinfo has the usernames and groups of
// ServiceAccounts.
//
// # Concepts
//
// There are two kinds of tokens. A bound token has audiences and an expiry, and may be
// bound to a Pod, a Secret, a Node, a webhook configuration or any [BoundObject]: when
// the object is deleted, the token is revoked. A Secret-based token doesn't expire, and
// is valid as long as its Secret holds it. [IsTokenSecretOf] says which Secrets those
// are.
//
// The Authenticator looks up every object for every token, through getters of one
// method each, so a deletion takes effect as soon as they see it. Tokens bound to
// a kind without a getter are rejected. Only verified signatures are cached.
// Package tokens/objectcache caches objects too, for getters that are slow.
//
// All issuers of one Authenticator share its keys. Issuers that don't trust each
// other have one each, which a [Chain] asks in turn. A [Policy] rejects more
// than Kubernetes does, and [ClaimOf] reads claims that an issuer has added.
//
// [AuthenticatorConfig.Observe] gets an [Event] with the context of the call. The
// event has the warnings and audit annotations of Kubernetes; the context leads to
// the request that they belong to.
//
// # Failure
//
// Constructors return an error naming every invalid field, each as a [*ConfigError].
// [Authenticator.Authenticate] fails in three ways. [ErrNotRecognized]: not of these
// issuers, ask the next authenticator. [*InvalidError]: rejected, with a [Reason] for
// programs. [*UnavailableError]: a lookup failed, retry; it fails closed. A getter that
// returns neither an object nor an error is such a failure.
//
// # Security
//
// The signature is checked before any claim but the issuer is decoded, with the
// one algorithm that belongs to the key. Claims are read strictly: wrong types,
// duplicate names, names that differ from known ones only in case, claims of both
// kinds, and a subject that isn't the account are rejected.
//
// No error holds a part of a token, a name, a UID or a key id, except for those
// of lookups, which wrap the error of the getter. [Event] has the details for the
// operator. A [Token] prints without its value. Anybody can change an ECDSA
// signature into another valid one, so identify tokens by
// [Identity.CredentialID], not by their text.
//
// # Compatibility
//
// Claims, order of checks, user infos and clock skew are those of Kubernetes
// 1.37. Stricter on purpose: bound tokens must have "exp" and "aud", times are
// whole seconds, "sub" must be the account, audiences are at most 64 and distinct,
// the Secret of a Secret-based token must be of the token type, white space around
// a token is not ignored, and API audiences are required.
package tokens
