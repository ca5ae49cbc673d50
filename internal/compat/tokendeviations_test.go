package compat

import (
	"slices"
	"strings"
)

// refusedAs says whether we refuse the token as one of classes, and upstream
// accepts it or refuses it as something else. What upstream refuses and we
// accept is never on purpose.
func (c *tokenCase) refusedAs(classes ...string) bool {
	return c.ours.Class != accepted && slices.Contains(classes, c.ours.Class) && c.upstream.Class != notRecognized
}

// tokenDeviations are the differences that a token may show, each by what is
// odd about the token and by what we make of it. The first that fits counts.
func tokenDeviations() []deviation[tokenCase] {
	type d = deviation[tokenCase]
	return []d{
		{"TOK-34: a token is one text, without white space, padding or idle bits", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("space ", "text ")
		}},
		{"TOK-34: a header that says more, or something twice, is none", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("header ", "kid ")
		}},
		{"TOK-34: a member twice, or spelled in another case, is not a claim", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("twice ", "case of ", "more claims")
		}},
		{"TOK-38: names of members in another case are refused at any depth", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && strings.Contains(c.payload.String(), `"NAME"`)
		}},
		{"TOK-34: a token without a signature is none", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.upstream.Class != accepted && strings.HasSuffix(c.token, ".")
		}},
		{"TOK-51, TOK-66: a token has the claims of one kind", func(c *tokenCase) bool {
			return c.refusedAs(invalidClaim) && c.has("more claims")
		}},
		{"TOK-42: audiences are not repeated", func(c *tokenCase) bool {
			return c.refusedAs(invalidClaim) && c.has(`odd aud ["api","api"]`)
		}},
		{"TOK-66: a claim that is null is invalid, not absent", func(c *tokenCase) bool {
			return c.refusedAs(invalidClaim) && c.has("odd jti null")
		}},
		{"TOK-37: the key decides on the algorithm", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized, signature) && c.has("alg ")
		}},
		{"TOK-40: only Secret-based tokens have implied audiences", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim) && !c.legacy && c.has("no aud", "odd aud []", "odd aud null", "case of aud")
		}},
		{"TOK-66: a bound token has a plain expiry, and all its times are whole numbers", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim) && c.has("no exp", "odd exp", "odd nbf", "odd iat", "case of exp", `odd kubernetes.io {"namespace":"team","serviceaccount":{"name":"builder","uid":"account-uid"},"warnafter"`)
		}},
		{"TOK-67: the subject of a bound token is its account", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim) && !c.legacy && c.has("no sub", "odd sub", "case of sub", "odd kubernetes.io")
		}},
		{"TOK-62: a Secret-based token needs a token Secret", func(c *tokenCase) bool {
			return c.refusedAs(secretType) && c.legacy && c.has("the Secret has type")
		}},
		{"TOK-66, TOK-67: claims are judged before anything is looked up", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim) && c.upstream.Class != accepted && c.has("no ", "odd ", "case of ", "more claims")
		}},
		{"of several faults another one is told", func(c *tokenCase) bool {
			return c.refusedAs(allRefusals...) && c.upstream.Class != accepted && len(c.odd) > 1
		}},
		{"TOK-55, TOK-71..74: a lookup that failed says nothing about the token", func(c *tokenCase) bool {
			return c.refusedAs(unavailable) && c.upstream.Class == gone && c.has("secret unavailable", "pod unavailable", "node unavailable")
		}},
	}
}

// allRefusals are the classes of tokens that are ours and don't hold.
var allRefusals = []string{
	signature, unknownKey, audience, notYetValid, expired, fromFuture, missingClaim, invalidClaim,
	gone, recreated, replaced, secretType, markedInvalid, unsupported, unavailable,
}
