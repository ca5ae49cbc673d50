package compat

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// A tokenOutcome is what one side made of a token, in words that both have.
type tokenOutcome struct {
	Class     string // "accepted", "not recognized", or why it is refused
	User      authenticationv1.UserInfo
	Audiences []string
	text      string // the error in its own words
}

// The classes of refusals. Upstream has texts only, and one text for what is
// gone and for what is being deleted.
const (
	accepted      = "accepted"
	notRecognized = "not recognized"
	signature     = "signature"
	unknownKey    = "unknown key"
	audience      = "audience"
	notYetValid   = "not yet valid"
	expired       = "expired"
	fromFuture    = "issued in the future"
	missingClaim  = "missing claim"
	invalidClaim  = "invalid claim"
	gone          = "object gone"
	recreated     = "object re-created"
	replaced      = "Secret holds another token"
	secretType    = "Secret of another type"
	markedInvalid = "Secret marked invalid"
	unsupported   = "bound to a kind that is not supported"
	unavailable   = "lookup failed"
)

var reasons = map[tokens.Reason]string{
	tokens.ReasonUnknownKey:     unknownKey,
	tokens.ReasonSignature:      signature,
	tokens.ReasonMissingClaim:   missingClaim,
	tokens.ReasonInvalidClaim:   invalidClaim,
	tokens.ReasonAudience:       audience,
	tokens.ReasonNotYetValid:    notYetValid,
	tokens.ReasonExpired:        expired,
	tokens.ReasonIssuedInFuture: fromFuture,
	tokens.ReasonNotFound:       gone,
	tokens.ReasonDeleted:        gone,
	tokens.ReasonRecreated:      recreated,
	tokens.ReasonUnsupported:    unsupported,
	tokens.ReasonReplaced:       replaced,
	tokens.ReasonSecretType:     secretType,
	tokens.ReasonMarkedInvalid:  markedInvalid,
}

// What upstream's texts contain, the first match decides.
var upstreamTexts = []struct{ part, class string }{
	{"no keys found", unknownKey},
	{"is invalid for the target audiences", audience},
	{"is not valid yet", notYetValid},
	{"has expired", expired},
	{"is issued in the future", fromFuture},
	{"claim is missing", missingClaim},
	{"claim is invalid", invalidClaim},
	{"token issuer", invalidClaim},
	{"duplicate key", invalidClaim},
	{"cannot unmarshal", invalidClaim},
	{"unmarshal", invalidClaim},
	{"UID (", recreated},
	{"not found", gone},
	{"has been deleted", gone},
	{"has been invalidated", gone},
	{"does not match server's copy", replaced},
	{"has been marked invalid", markedInvalid},
	{"APIServerWebhookAuthenticationToken", unsupported},
	{"boom", unavailable},
	{"deadline exceeded", unavailable},
	{"is forbidden", unavailable},
	{"cryptographic primitive", signature},
	{"unexpected", signature},
	{"unsupported", signature},
	{"invalid", signature},
}

// bothAuthenticators are upstream's and ours, made once and used for all cases.
type bothAuthenticators struct {
	current *tokenCase
	union   []authenticator.Token // upstream has one for each kind of token
	ours    *tokens.Authenticator
}

func newBothAuthenticators() *bothAuthenticators {
	b := &bothAuthenticators{}
	var list []any
	var publics []crypto.PublicKey
	for _, key := range tokenKeys() {
		list, publics = append(list, key.key.Public()), append(publics, key.key.Public())
	}
	getter := must(upstreamtokens.StaticPublicKeysGetter(list))
	writer := fake.NewClientset()
	writer.PrependReactor("patch", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	apiAudiences := authenticator.Audiences{"api"}
	b.union = []authenticator.Token{
		upstreamtokens.JWTTokenAuthenticator([]string{legacyIssuer}, getter, apiAudiences, must(upstreamtokens.NewLegacyValidator(true, b, writer.CoreV1()))),
		upstreamtokens.JWTTokenAuthenticator([]string{testIssuer}, getter, apiAudiences, upstreamtokens.NewValidator(b)),
	}
	b.ours = must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers:         []string{testIssuer},
		Keys:            must(keys.NewSet(publics...)),
		APIAudiences:    apiAudiences,
		ServiceAccounts: b, Secrets: b, Pods: b, Nodes: b,
		Legacy: true,
		Now:    func() time.Time { return b.current.now },
		// Without an audit event and a recorder of warnings it does nothing.
		Observe: apiserver.ObserveAuthentication,
	}))
	return b
}

func (b *bothAuthenticators) run(c *tokenCase) {
	b.current = c
	c.upstream, c.ours = b.runUpstream(c), b.runOurs(c)
}

func (b *bothAuthenticators) runUpstream(c *tokenCase) tokenOutcome {
	ctx := context.Background()
	if c.requested != nil {
		ctx = authenticator.WithAudiences(ctx, c.requested)
	}
	var errs []error
	for _, a := range b.union {
		response, ok, err := a.AuthenticateToken(ctx, c.token)
		if ok {
			return tokenOutcome{Class: accepted, User: userInfo(response.User), Audiences: response.Audiences}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return tokenOutcome{Class: notRecognized}
	}
	text := errors.Join(errs...).Error()
	for _, known := range upstreamTexts {
		if strings.Contains(text, known.part) {
			return tokenOutcome{Class: known.class, text: text}
		}
	}
	return tokenOutcome{Class: "unknown text of upstream: " + text, text: text}
}

func userInfo(info user.Info) authenticationv1.UserInfo {
	u := authenticationv1.UserInfo{Username: info.GetName(), UID: info.GetUID(), Groups: info.GetGroups()}
	for key, value := range info.GetExtra() {
		if u.Extra == nil {
			u.Extra = map[string]authenticationv1.ExtraValue{}
		}
		u.Extra[key] = value
	}
	return u
}

func (b *bothAuthenticators) runOurs(c *tokenCase) tokenOutcome {
	identity, err := b.ours.Authenticate(context.Background(), c.token, c.requested...)
	if err == nil {
		return tokenOutcome{Class: accepted, User: identity.UserInfo(), Audiences: identity.Audiences}
	}
	outcome := tokenOutcome{text: err.Error()}
	invalid, isInvalid := errors.AsType[*tokens.InvalidError](err)
	_, isUnavailable := errors.AsType[*tokens.UnavailableError](err)
	switch {
	case errors.Is(err, tokens.ErrNotRecognized):
		outcome.Class = notRecognized
	case isInvalid:
		outcome.Class = reasons[invalid.Reason]
	case isUnavailable:
		outcome.Class = unavailable
	default:
		outcome.Class = "undocumented error: " + err.Error()
	}
	return outcome
}

func (c *tokenCase) diff() string {
	return cmp.Diff(c.upstream, c.ours, cmp.AllowUnexported(tokenOutcome{}), cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".text"
	}, cmp.Ignore()))
}

func TestTokens(t *testing.T) {
	// Upstream logs what it refuses.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	known := newDeviations(tokenDeviations()...)
	// Upstream's clock can't be set: in here it stands still.
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		generate.Check(t, generate.Count(20_000, 1_000_000), func() func(*generate.Source) error {
			both := newBothAuthenticators()
			return func(s *generate.Source) error {
				c := newTokenCase(s, now)
				both.run(c)
				diff := c.diff()
				if diff == "" || known.explain(c) {
					return nil
				}
				return fmt.Errorf("upstream and we differ (-upstream +ours):\n%s\ncase: %s", diff, c)
			}
		})
	})
	known.report(t)
}

func (c *tokenCase) String() string {
	return fmt.Sprintf("header %s\nclaims %s\nodd: %q\naudiences asked for: %q, now %d\ntoken: %q\nupstream: %s %s\nours: %s %s",
		c.header, c.payload, c.odd, c.requested, c.now.Unix(), c.token, c.upstream.Class, c.upstream.text, c.ours.Class, c.ours.text)
}
