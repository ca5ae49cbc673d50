package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens"
)

// A TokenAuthenticator is a [tokens.Verifier] as an authenticator of tokens of
// k8s.io/apiserver. It is safe for concurrent use.
type TokenAuthenticator struct{ verifier tokens.Verifier }

var _ authenticator.Token = (*TokenAuthenticator)(nil)

// NewTokenAuthenticator returns verifier as an authenticator, or an error naming every
// argument that is missing, each as a [*ConfigError].
func NewTokenAuthenticator(verifier tokens.Verifier) (*TokenAuthenticator, error) {
	mistakes := configerror.List{Config: "apiserver.TokenAuthenticator"}
	mistakes.Require("Verifier", verifier, "a tokens.Verifier")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return &TokenAuthenticator{verifier}, nil
}

// AuthenticateToken authenticates token for the audiences of ctx, which the server
// puts there, or for those of the Verifier if there are none.
//
// A token that the Verifier doesn't recognize is none of its business: there is no
// error, and a union asks the next authenticator. Any other failure is an error. A
// union that doesn't stop at errors, as that of kube-apiserver, asks the others all
// the same: they may accept a token that is rejected here.
func (a *TokenAuthenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	audiences, _ := authenticator.AudiencesFrom(ctx)
	identity, err := a.verifier.Authenticate(ctx, token, audiences...)
	switch {
	case errors.Is(err, tokens.ErrNotRecognized): // SRV-3
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case identity == nil:
		return nil, false, errors.New("apiserver: the Verifier returned neither an Identity nor an error")
	}
	// The server would accept a response without audiences for any (SRV-7).
	if len(identity.Audiences) == 0 || len(audiences) > 0 && countIn(audiences, identity.Audiences) < len(identity.Audiences) {
		return nil, false, fmt.Errorf("apiserver: the Verifier returned the audiences %.256q, want some of %.256q", identity.Audiences, audiences)
	}
	return &authenticator.Response{Audiences: slices.Clone(identity.Audiences), User: UserInfo(identity)}, true, nil
}

// countIn returns how many of some are in all. It takes linear time, as
// [authenticator.Audiences.Intersect] doesn't: both may have what a client sends.
func countIn(all, some []string) (n int) {
	is := make(map[string]bool, len(all))
	for _, s := range all {
		is[s] = true
	}
	for _, s := range some {
		if is[s] {
			n++
		}
	}
	return n
}

// UserInfo returns id as a user of k8s.io/apiserver. Its groups have neither
// system:authenticated nor what else a chain of authenticators adds.
func UserInfo(id *tokens.Identity) user.Info {
	info := id.UserInfo()
	u := &user.DefaultInfo{Name: info.Username, UID: info.UID, Groups: info.Groups}
	for key, values := range info.Extra {
		if u.Extra == nil {
			u.Extra = make(map[string][]string, len(info.Extra))
		}
		u.Extra[key] = values
	}
	return u
}

// UserOf returns the user of the request that ctx belongs to, and false if there is
// none. It is the User of [github.com/kubesa/serviceaccount/tokens/tokenrequest.NodeRuleConfig].
func UserOf(ctx context.Context) (authenticationv1.UserInfo, bool) {
	u, ok := request.UserFrom(ctx)
	if !ok || u == nil {
		return authenticationv1.UserInfo{}, false
	}
	return userInfoOf(u), true
}

// userInfoOf returns u as a value of the API, whose extra is never nil (SRV-27).
func userInfoOf(u user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: map[string]authenticationv1.ExtraValue{}}
	for key, values := range u.GetExtra() {
		info.Extra[key] = values
	}
	return info
}

// NewBearerAuthenticator returns an authenticator of requests whose header
// Authorization or, of WebSockets, whose subprotocol has a token that one of
// authenticators accepts. All of them are asked until one does. It doesn't add the
// group system:authenticated.
func NewBearerAuthenticator(authenticators ...authenticator.Token) authenticator.Request {
	all := tokenunion.New(authenticators...)
	return union.New(bearertoken.New(all), websocket.NewProtocolAuthenticator(all))
}

// chain returns the authenticators of requests in the order of kube-apiserver: others,
// tokens, then those without any credentials. Only the last is asked no more after an
// error: an invalid token doesn't make its bearer anonymous.
func chain(bearer authenticator.Request, others []authenticator.Request, anonymous authenticator.Request) authenticator.Request {
	all := group.NewAuthenticatedGroupAdder(union.New(append(slices.Clone(others), bearer)...)) // SRV-12
	if anonymous == nil {
		return all
	}
	return union.NewFailOnError(all, anonymous)
}

// authenticateToken authenticates a request that has nothing but the context of ctx
// and token.
func authenticateToken(ctx context.Context, a authenticator.Request, token string) (*authenticator.Response, bool, error) {
	r := (&http.Request{Header: http.Header{}}).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.AuthenticateRequest(r)
}
