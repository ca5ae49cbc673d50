package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// maxShown is how many bytes of a claim an [Explanation] shows.
const maxShown = 256

// An Explanation tells people whom a token authenticates as, or why it is rejected
// and how to fix that. It never contains the signature, so it can't be used as a
// token. But it names objects and UIDs: show it only to operators and to the owner
// of the token. Programs use [tokens.Authenticator.Authenticate] instead.
type Explanation struct {
	tokens.Event // as passed to Observe
	Identity     *tokens.Identity
	Signature    SignatureState

	Algorithm string // from the header; empty if it could not be parsed
	KeyID     string

	// Claims are those of the token's payload, unverified unless Signature says
	// otherwise.
	Claims []ShownClaim

	malformed malformedPart
}

// A malformedPart says what of a malformed token isn't that of a ServiceAccount's.
type malformedPart string

// The parts; otherwise the text has been changed on its way.
const (
	malformedText    malformedPart = ""
	malformedHeader  malformedPart = "header"
	malformedPayload malformedPart = "payload"
)

// A SignatureState says whether a signature was verified.
type SignatureState string

// The states of a signature.
const (
	SignatureNotChecked SignatureState = "NotChecked" // or not with all keys
	SignatureInvalid    SignatureState = "Invalid"
	SignatureValid      SignatureState = "Valid"
)

// A ShownClaim is a claim in printable ASCII, truncated if it is long.
type ShownClaim struct {
	Name, Value string
}

// Explain authenticates token as [tokens.Authenticator.Authenticate] does, without
// calling Observe, and returns an explanation of the result.
func Explain(ctx context.Context, a *tokens.Authenticator, token string, audiences ...string) Explanation {
	e := Explanation{Signature: SignatureNotChecked}
	e.Identity, e.Event = a.Evaluate(ctx, token, audiences...)
	parsed, err := jose.Parse(token, 0)
	if err != nil {
		e.malformed = partOf(err)
		return e
	}
	e.Signature = signatureState(&e.Event)
	e.Algorithm, e.KeyID = printable(parsed.Algorithm), printable(parsed.KeyID)
	for name, value := range strictjson.Members(parsed.Payload) {
		e.Claims = append(e.Claims, showClaim(name, value, e.Time))
	}
	return e
}

// partOf returns what err, an error of [jose.Parse], is about.
func partOf(err error) malformedPart {
	if bad, ok := errors.AsType[*jose.MalformedError](err); ok && bad.Fault != jose.FaultEncoding {
		switch part := malformedPart(bad.Part); part {
		case malformedHeader, malformedPayload:
			return part
		}
	}
	return malformedText
}

// signatureState is derived from the stage that authentication reached.
func signatureState(e *tokens.Event) SignatureState {
	switch {
	case e.Name != "":
		return SignatureValid
	case e.Reason == tokens.ReasonUnknownKey, e.Reason == tokens.ReasonSignature:
		return SignatureInvalid
	case e.Reason == tokens.ReasonMissingClaim, e.Reason == tokens.ReasonInvalidClaim:
		return SignatureValid // claims are read after the signature was checked
	}
	return SignatureNotChecked // with TooManyKeys too: one of the keys that weren't tried may have made it
}

// String returns the explanation as text of several lines.
func (e Explanation) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name+":", value)
		}
	}
	line("token", strings.ToLower(strings.Replace(string(e.Result), "NotR", "not r", 1)))
	if e.Err != nil {
		line("because", strings.TrimPrefix(printable(e.Err.Error()), "tokens: "))
		line("reason", strings.TrimSpace(string(e.Reason)+" "+e.Subject))
		if e.Detail != e.Err.Error() {
			line("found", printable(e.Detail))
		}
		line("what helps", e.advice())
	}
	if id := e.Identity; id != nil {
		user := id.UserInfo()
		line("username", user.Username)
		line("uid", printable(user.UID))
		line("groups", strings.Join(user.Groups, ", "))
		line("audiences", printable(strings.Join(id.Audiences, ", ")))
	}
	if e.Stale > 0 {
		line("stale", fmt.Sprintf("a newer token should have been read %v ago; this one holds for clients that don't", e.Stale))
	}
	for _, warning := range e.Warnings() {
		line("warning", warning)
	}
	line("signature", string(e.Signature))
	if e.Algorithm != "" {
		line("made with", fmt.Sprintf("%s, key id %q", e.Algorithm, e.KeyID))
	}
	if len(e.Claims) > 0 {
		line("claims", "what the token says of itself")
	}
	for _, c := range e.Claims {
		fmt.Fprintf(&b, "  %s = %s\n", c.Name, c.Value)
	}
	return b.String()
}

// showClaim shows the values of the claims that service-account tokens have, and
// only the names of others, which may hold anything.
func showClaim(name, value string, now time.Time) ShownClaim {
	c := ShownClaim{Name: printable(name), Value: "…"}
	switch name {
	case payload.ClaimExpiry, payload.ClaimNotBefore, payload.ClaimIssuedAt:
		c.Value = printable(value)
		if seconds, ok := payload.DecodeTime(value); ok {
			c.Value += " (" + relative(time.Unix(seconds, 0), now) + ")"
		}
	case payload.ClaimIssuer, payload.ClaimSubject, payload.ClaimAudience, payload.ClaimID, payload.ClaimPrivate,
		payload.LegacyNamespace, payload.LegacySecretName, payload.LegacyAccountName, payload.LegacyAccountUID:
		c.Value = printable(value)
	}
	return c
}

// relative formats t, and its distance from now.
func relative(t, now time.Time) string {
	when := t.UTC().Format(time.RFC3339)
	switch d := t.Sub(now).Round(time.Second); {
	case d > 0:
		return fmt.Sprintf("%s, in %v", when, d)
	case d < 0:
		return fmt.Sprintf("%s, %v ago", when, -d)
	}
	return when + ", now"
}

// printable returns s in ASCII, truncated and without control characters, so that
// it is safe to print on a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= maxShown {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteByte('?')
		case r < ' ', r >= 0x7f:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// advice returns what to do about a rejection.
func (e *Explanation) advice() string {
	switch e.Reason {
	case tokens.ReasonMalformed:
		switch e.malformed {
		case malformedHeader:
			return `ask whoever issued it to authenticate it: the headers of ServiceAccount tokens have "alg", "kid" and "typ" only`
		case malformedPayload:
			return "ask whoever issued it to authenticate it: its claims are not a JSON object as ServiceAccount tokens have"
		}
		return "send the token as it was given: three parts with dots between them, nothing before, after or inside; not its Secret's base64"
	case tokens.ReasonForeignIssuer:
		return "ask the cluster that issued it, or add its issuer to AuthenticatorConfig.Issuers, or set Legacy for Secret-based tokens"
	case tokens.ReasonForeignUser:
		return "request a token of a ServiceAccount; this one is of another user, whom the API server knows"
	case tokens.ReasonUnknownKey, tokens.ReasonSignature:
		return "see that the verification keys are those of the issuer now; if its key was retired, get a new token"
	case tokens.ReasonTooManyKeys:
		return "get a new token, which names its key; or retire keys, or raise AuthenticatorConfig.MaxSignatureChecks"
	case tokens.ReasonMissingClaim, tokens.ReasonInvalidClaim:
		return "get a token from the TokenRequest API; this one was not made by Kubernetes or by this library"
	case tokens.ReasonAudience:
		return "request a token for the audience of the server that it is sent to"
	case tokens.ReasonNotYetValid, tokens.ReasonIssuedInFuture:
		return "see that the clocks of the issuer and of this machine agree"
	case tokens.ReasonExpired:
		return "get a new token; clients should read theirs again before it expires"
	case tokens.ReasonNotFound, tokens.ReasonRecreated, tokens.ReasonDeleted:
		return "get a new token for what is there now; nothing makes this one good again"
	case tokens.ReasonUnsupported:
		return "give the authenticator a getter for that kind of object"
	case tokens.ReasonReplaced, tokens.ReasonSecretType:
		return "read the token from its Secret again"
	case tokens.ReasonMarkedInvalid:
		return "request a token, or take the label away from the Secret for the time being"
	case tokens.ReasonOtherCluster:
		return "request a token from the cluster that it is sent to"
	case tokens.ReasonPolicy:
		return "request a token that AuthenticatorConfig.Policy allows"
	case tokens.ReasonRefused, tokens.ReasonInvalidUser:
		return "see what the API server logs; get a new token for the audience that is asked for"
	case tokens.ReasonUnavailable:
		return "try again; see why the lookup failed"
	}
	return ""
}
