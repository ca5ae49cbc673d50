package apiserver_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A verifierFunc is a tokens.Verifier.
type verifierFunc func(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error)

func (f verifierFunc) Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	return f(ctx, token, audiences...)
}

func identity() *tokens.Identity {
	return &tokens.Identity{Namespace: "shop", Name: "web", UID: "1", Audiences: []string{"api"}}
}

// SRV-1, SRV-3, SRV-6, SRV-7.
func TestTokenAuthenticator(t *testing.T) {
	unavailable := &tokens.UnavailableError{Subject: "Pod", Err: errors.New("down")}
	invalid := &tokens.InvalidError{Reason: tokens.ReasonExpired}
	for _, tt := range []struct {
		name    string
		asked   []string
		mutate  func(*tokens.Identity)
		err     error
		none    bool
		wantOK  bool
		wantErr string
	}{
		{name: "good", wantOK: true},
		{name: "good, audiences asked for", asked: []string{"x", "api"}, wantOK: true},
		{name: "not recognized", err: &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}},
		{name: "invalid", err: invalid, wantErr: "tokens: service account token has expired"},
		{name: "unavailable", err: unavailable, wantErr: "tokens: looking up the Pod: down"},
		{name: "nothing", none: true, wantErr: "apiserver: the Verifier returned neither an Identity nor an error"},
		{name: "no audiences", mutate: func(id *tokens.Identity) { id.Audiences = nil }, wantErr: `apiserver: the Verifier returned the audiences [], want some of []`},
		{name: "other audiences", asked: []string{"x"}, wantErr: `apiserver: the Verifier returned the audiences ["api"], want some of ["x"]`},
		{name: "further audiences", asked: []string{"api"}, mutate: func(id *tokens.Identity) { id.Audiences = []string{"api", "y"} }, wantErr: `apiserver: the Verifier returned the audiences ["api" "y"], want some of ["api"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := must(apiserver.NewTokenAuthenticator(verifierFunc(func(_ context.Context, token string, audiences ...string) (*tokens.Identity, error) {
				if token != "token" || !slices.Equal(audiences, tt.asked) {
					t.Errorf("asked about %q for %q, want %q", token, audiences, tt.asked)
				}
				if tt.err != nil || tt.none {
					return nil, tt.err
				}
				id := identity()
				if tt.mutate != nil {
					tt.mutate(id)
				}
				return id, nil
			})))(t)
			ctx := t.Context()
			if tt.asked != nil {
				ctx = authenticator.WithAudiences(ctx, tt.asked)
			}
			response, ok, err := a.AuthenticateToken(ctx, "token")
			if got := text(err); ok != tt.wantOK || got != tt.wantErr || (response != nil) != ok {
				t.Fatalf("got %v, %v, %q; want %v, %q", response, ok, got, tt.wantOK, tt.wantErr)
			}
			if tt.err != nil && err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %v, want the Verifier's", err)
			}
			if ok && !slices.Equal(response.Audiences, []string{"api"}) {
				t.Errorf("got audiences %q", response.Audiences)
			}
		})
	}
	if _, err := apiserver.NewTokenAuthenticator((*tokens.Authenticator)(nil)); text(err) != "apiserver: TokenAuthenticator.Verifier is required, want a tokens.Verifier" {
		t.Errorf("got %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// SRV-11.
func TestUserInfo(t *testing.T) {
	id := identity()
	want := &user.DefaultInfo{Name: "system:serviceaccount:shop:web", UID: "1", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop"}}
	if diff := cmp.Diff(user.Info(want), apiserver.UserInfo(id)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	id.Pod = tokens.ObjectRef{Name: "pod", UID: "2"}
	id.Node = tokens.ObjectRef{Name: "node"}
	id.ValidatingWebhook = tokens.ObjectRef{Name: "v", UID: "3"}
	want.Extra = map[string][]string{
		userinfo.ExtraPodName: {"pod"}, userinfo.ExtraPodUID: {"2"}, userinfo.ExtraNodeName: {"node"},
		userinfo.ExtraValidatingWebhookName: {"v"}, userinfo.ExtraValidatingWebhookUID: {"3"},
	}
	if diff := cmp.Diff(user.Info(want), apiserver.UserInfo(id)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	info, ok := apiserver.UserOf(request.WithUser(t.Context(), want))
	if !ok || info.Username != want.Name || info.UID != "1" || len(info.Extra) != 5 {
		t.Errorf("got %+v, %v", info, ok)
	}
	if _, ok := apiserver.UserOf(t.Context()); ok {
		t.Error("a user without a request")
	}
}

// SRV-4, SRV-5.
func TestBearerAuthenticator(t *testing.T) {
	own := must(apiserver.NewTokenAuthenticator(verifierFunc(func(_ context.Context, token string, _ ...string) (*tokens.Identity, error) {
		if token != "good" {
			return nil, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
		}
		return identity(), nil
	})))(t)
	a := apiserver.NewBearerAuthenticator(own)
	protocol := func(token string) string {
		return "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token))
	}
	for _, tt := range []struct {
		name, authorization, protocols string
		wantOK                         bool
		wantErr                        string
	}{
		{name: "header", authorization: "Bearer good", wantOK: true},
		{name: "any case", authorization: " bearer good ", wantOK: true},
		{name: "nothing"},
		{name: "another scheme", authorization: "Basic good"},
		{name: "unknown", authorization: "Bearer bad", wantErr: "invalid bearer token"},
		{name: "space before the token", authorization: "Bearer  good"},
		{name: "subprotocol", protocols: protocol("good") + ", v4.channel.k8s.io", wantOK: true},
		{name: "subprotocol, unknown", protocols: protocol("bad") + ", v4.channel.k8s.io", wantErr: "invalid bearer token"},
		{name: "subprotocol alone", protocols: protocol("good"), wantErr: "missing additional subprotocol"},
		{name: "two", protocols: protocol("good") + "," + protocol("good"), wantErr: "multiple base64.bearer.authorization tokens specified"},
		{name: "bad encoding", protocols: protocol("good") + "=, x", wantErr: "invalid base64.bearer.authorization token encoding"},
		{name: "not UTF-8", protocols: protocol("\xff") + ", x", wantErr: "invalid base64.bearer.authorization token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://server.example/", nil))(t)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			if tt.protocols != "" {
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", "websocket")
				r.Header.Set("Sec-WebSocket-Protocol", tt.protocols)
			}
			_, ok, err := a.AuthenticateRequest(r)
			if ok != tt.wantOK || text(err) != tt.wantErr {
				t.Fatalf("got %v, %v; want %v, %q", ok, err, tt.wantOK, tt.wantErr)
			}
			if left := r.Header.Get("Authorization") + r.Header.Get("Sec-WebSocket-Protocol"); ok && strings.Contains(left, "ood") {
				t.Errorf("the request still has %q", left)
			}
		})
	}
}

// SRV-2, SRV-3: what a union makes of the three failures, and that an invalid token makes
// nobody anonymous.
func TestServerAuthentication(t *testing.T) {
	anonymous := authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}}, true, nil
	})
	s, _ := newShop(t, func(cfg *apiserver.Config) { cfg.Anonymous = anonymous })
	good := must(s.createToken(t, requestFor("api")))(t).Status.Token
	for _, tt := range []struct {
		name, token, want string
	}{
		{"account", good, "system:serviceaccount:shop:web"},
		{"another authenticator's", adminToken, "admin"},
		{"none", "", ""},
		{"nobody's", "nonsense", ""},
		{"bad signature", good[:len(good)-4] + "AAAA", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.allow.Store(rule(user.Anonymous, "get", "", "", "/version"), true)
			got := s.get(t, "/version", tt.token).StatusCode
			want := http.StatusForbidden
			switch {
			case tt.want == "admin" || tt.token == "":
				want = http.StatusOK
			case tt.want == "":
				want = http.StatusUnauthorized // SRV-10
			}
			if got != want && !(want == http.StatusOK && got == http.StatusNotFound) {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}
