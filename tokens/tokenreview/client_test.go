package tokenreview_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// builderStatus is what an API server says of a token of ci/builder.
func builderStatus() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     []string{"vault"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:ci:builder", UID: "1",
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"},
			Extra:  map[string]authenticationv1.ExtraValue{userinfo.ExtraPodName: {"job"}, userinfo.ExtraPodUID: {"2"}},
		},
	}
}

// A creator answers each TokenReview with the next of its errors, and then status.
type creator struct {
	errs   []error
	status authenticationv1.TokenReviewStatus
	hang   bool // for an hour, after the errors
	got    []authenticationv1.TokenReviewSpec
}

func (c *creator) CreateTokenReview(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	c.got = append(c.got, *review.Spec.DeepCopy())
	review.Spec.Audiences[0] = "changed" // it belongs to the Creator
	switch {
	case len(c.got) <= len(c.errs):
		return nil, c.errs[len(c.got)-1]
	case c.hang:
		time.Sleep(time.Hour)
	}
	return &authenticationv1.TokenReview{Status: c.status}, nil
}

// unsignedFrom returns a token of issuer that nobody signed.
func unsignedFrom(issuer string) string {
	return encode(`{"alg":"ES256","kid":"k"}`) + "." + encode(`{"iss":"`+issuer+`"}`) + "." + encode(string(make([]byte, 64)))
}

const clusterIssuer = "https://kubernetes.default.svc"

func TestClientAnswers(t *testing.T) {
	type reason = tokens.Reason
	ofCluster := unsignedFrom(clusterIssuer)
	for _, tt := range []struct {
		name   string
		token  string // ofCluster if empty
		asked  []string
		mutate func(*tokenreview.ClientConfig, *authenticationv1.TokenReviewStatus)

		audiences    []string // accepted
		invalid      reason
		subject      string
		foreign      reason
		unavailable  bool
		sent         []string // audiences; nil if nothing was sent
		detail       string
		unauthorized bool
	}{
		{name: "accepted", audiences: []string{"vault"}, sent: []string{"vault"}}, // TRC-33
		{name: "an error beside", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) { s.Error = "ignored" },
			audiences: []string{"vault"}, sent: []string{"vault"}, detail: "ignored"}, // TRC-12
		{name: "others reported", asked: []string{"b", "a", "c", "a"}, mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			s.Audiences = []string{"x", "a", "b"}
		}, audiences: []string{"b", "a"}, sent: []string{"b", "a", "c", "a"}}, // TRC-35
		{name: "none that was asked for", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			s.Audiences = []string{clusterIssuer}
		}, invalid: tokens.ReasonAudience, sent: []string{"vault"}, detail: `the API server accepts the token for ["https://kubernetes.default.svc"], want one of ["vault"]`}, // TRC-34
		{name: "eight others", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			s.Audiences = strings.Split("abcdefgh", "")
		}, invalid: tokens.ReasonAudience, sent: []string{"vault"}, detail: `the API server accepts the token for ["a" "b" "c" "d" "e" "f" "g" "h"], want one of ["vault"]`},
		{name: "nine others", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			s.Audiences = strings.Split("abcdefghi", "")
		}, invalid: tokens.ReasonAudience, sent: []string{"vault"}, detail: `the API server accepts the token for ["a" "b" "c" "d" "e" "f" "g" "h" "and 1 more"], want one of ["vault"]`},
		{name: "no audiences", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) { s.Audiences = nil },
			invalid: tokens.ReasonAudience, sent: []string{"vault"}, detail: `the API server accepts the token for [], want one of ["vault"]`},
		{name: "implicit audiences", mutate: func(c *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			c.ImplicitAudiences, s.Audiences = []string{"vault"}, nil
		}, audiences: []string{"vault"}, sent: []string{"vault"}}, // TRC-8
		{name: "implicit audiences don't replace reported ones", mutate: func(c *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			c.ImplicitAudiences, s.Audiences = []string{"vault"}, []string{"other"}
		}, invalid: tokens.ReasonAudience, sent: []string{"vault"}, detail: `the API server accepts the token for ["other"], want one of ["vault"]`},
		{name: "refused, with a reason and no audiences", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			*s = authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, secret ci/x]"}
		}, invalid: tokens.ReasonRefused, sent: []string{"vault"}, detail: "[invalid bearer token, secret ci/x]"}, // TRC-13, TRC-43
		{name: "refused, with a user", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) { s.Authenticated = false },
			invalid: tokens.ReasonRefused, sent: []string{"vault"}},
		{name: "nobody", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) { s.User.Username = "" },
			unavailable: true, sent: []string{"vault"}}, // TRC-14
		{name: "a person", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) { s.User.Username = "jane" },
			foreign: tokens.ReasonForeignUser, sent: []string{"vault"}}, // TRC-36
		{name: "groups of a person", mutate: func(_ *tokenreview.ClientConfig, s *authenticationv1.TokenReviewStatus) {
			s.User.Groups = []string{"system:authenticated"}
		}, invalid: tokens.ReasonInvalidUser, subject: "groups", sent: []string{"vault"}, detail: `user "system:serviceaccount:ci:builder" has invalid groups`}, // TRC-37
		{name: "an empty token", token: " ", foreign: tokens.ReasonMalformed}, // TRC-45
		{name: "no JWT", token: "opaque", foreign: tokens.ReasonMalformed},    // TRC-42
		{name: "another issuer's", token: unsignedFrom("https://b"), mutate: func(c *tokenreview.ClientConfig, _ *authenticationv1.TokenReviewStatus) {
			c.Issuers = []string{clusterIssuer}
		}, foreign: tokens.ReasonForeignIssuer},
		{name: "another issuer's, unless told", token: unsignedFrom("https://b"), audiences: []string{"vault"}, sent: []string{"vault"}},
		{name: "an odd claim", token: unsignedFrom(clusterIssuer + `","exp":"soon`), audiences: []string{"vault"}, sent: []string{"vault"}},
		{name: "an odd claim, with issuers", token: unsignedFrom(clusterIssuer + `","exp":"soon`), mutate: func(c *tokenreview.ClientConfig, _ *authenticationv1.TokenReviewStatus) {
			c.Issuers = []string{clusterIssuer}
		}, foreign: tokens.ReasonForeignIssuer},
		{name: "one of the issuers'", mutate: func(c *tokenreview.ClientConfig, _ *authenticationv1.TokenReviewStatus) {
			c.Issuers = []string{"https://b", clusterIssuer}
		}, audiences: []string{"vault"}, sent: []string{"vault"}},
		{name: "an empty audience", asked: []string{"a", ""}, invalid: tokens.ReasonAudience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &creator{status: builderStatus()}
			var event tokenreview.ClientEvent
			cfg := tokenreview.ClientConfig{Reviews: c, Audiences: []string{"vault"}, Observe: func(_ context.Context, e tokenreview.ClientEvent) { event = e }}
			if tt.mutate != nil {
				tt.mutate(&cfg, &c.status)
			}
			client, err := tokenreview.NewClient(cfg)
			if err != nil {
				t.Fatal(err)
			}
			token := ofCluster
			if tt.token != "" {
				token = strings.TrimSpace(tt.token)
			}
			id, err := client.Authenticate(t.Context(), token, tt.asked...)
			invalid, _ := errors.AsType[*tokens.InvalidError](err)
			foreign, _ := errors.AsType[*tokens.NotRecognizedError](err)
			_, unavailable := errors.AsType[*tokens.UnavailableError](err)
			switch {
			case tt.audiences != nil:
				if err != nil || !slices.Equal(id.Audiences, tt.audiences) || id.Username() != "system:serviceaccount:ci:builder" || id.Pod.Name != "job" {
					t.Errorf("Authenticate() = %+v, %v, want ci/builder for %q", id, err, tt.audiences)
				}
			case tt.invalid != "":
				if invalid == nil || *invalid != (tokens.InvalidError{Reason: tt.invalid, Subject: tt.subject}) {
					t.Errorf("Authenticate() = %v, want an InvalidError with %s %s", err, tt.invalid, tt.subject)
				}
			case tt.foreign != "":
				if foreign == nil || foreign.Reason != tt.foreign {
					t.Errorf("Authenticate() = %v, want a NotRecognizedError with %s", err, tt.foreign)
				}
			case !unavailable:
				t.Errorf("Authenticate() = %v, want an UnavailableError", err)
			}
			if (id != nil) != (err == nil) {
				t.Errorf("Authenticate() = %v, %v, want either", id, err)
			}
			var sent []string
			for _, spec := range c.got {
				sent = append(sent, spec.Audiences...)
			}
			if diff := cmp.Diff(tt.sent, sent); diff != "" {
				t.Errorf("audiences sent (-want +got):\n%s", diff)
			}
			if len(event.Attempts) > 0 && event.Attempts[0].HTTPStatus != http.StatusCreated {
				t.Errorf("Observe got %v, want the answer 201", event.Attempts)
			}
			if event.Detail != tt.detail || event.Err != err || event.Identity != id || len(event.Attempts) != len(c.got) {
				t.Errorf("Observe got %+v, want the detail %q, and what was returned", event, tt.detail)
			}
		})
	}
}

// TRC-16, TRC-17, TRC-18, TRC-19, TRC-20, TRC-22
func TestClientRetries(t *testing.T) {
	busy := &apierrors.StatusError{ErrStatus: apierrors.NewGenericServerResponse(http.StatusTooManyRequests, "create", schema.GroupResource{}, "", "", 0, true).ErrStatus}
	status := func(code int, retryAfter int) error {
		return apierrors.NewGenericServerResponse(code, "create", schema.GroupResource{Resource: "tokenreviews"}, "", "", retryAfter, true)
	}
	for _, tt := range []struct {
		name    string
		err     error
		calls   int
		isRetry bool
	}{
		{"429", busy, 5, true},
		{"500", status(500, 0), 5, true},
		{"502", status(502, 0), 5, true},
		{"504", status(504, 0), 5, true},
		{"the connection", io.ErrUnexpectedEOF, 5, true},
		{"429 with Retry-After", status(429, 1), 1, false},
		{"503 with Retry-After", status(503, 1), 1, false},
		{"503", status(503, 0), 1, false},
		{"401", status(401, 0), 1, false},
		{"403", status(403, 0), 1, false},
		{"404", status(404, 0), 1, false},
		{"409", status(409, 0), 1, false},
		{"422", status(422, 0), 1, false},
		{"canceled", fmt.Errorf("post: %w", context.Canceled), 1, false},
		{"its own deadline", fmt.Errorf("post: %w", context.DeadlineExceeded), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &creator{errs: slices.Repeat([]error{tt.err}, 10)}
				var event tokenreview.ClientEvent
				client := must(tokenreview.NewClient(tokenreview.ClientConfig{
					Reviews: c, Audiences: []string{"vault"}, Observe: func(_ context.Context, e tokenreview.ClientEvent) { event = e },
				}))
				start := time.Now()
				_, err := client.Authenticate(t.Context(), unsignedFrom(clusterIssuer))
				code := 0
				if answer, ok := errors.AsType[*apierrors.StatusError](tt.err); ok {
					code = int(answer.Status().Code)
				}
				if event.Took != time.Since(start) || len(event.Attempts) != tt.calls || event.Attempts[0].HTTPStatus != code {
					t.Errorf("Observe got %v after %v, want %d attempts with the answer %d", event.Attempts, event.Took, tt.calls, code)
				}
				if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !errors.Is(err, tt.err) {
					t.Errorf("Authenticate() = %v, want an UnavailableError that wraps %v", err, tt.err)
				}
				if len(c.got) != tt.calls {
					t.Errorf("sent %d TokenReviews, want %d", len(c.got), tt.calls)
				}
				if took := time.Since(start); tt.isRetry && (took < 4*time.Second || took > 5*time.Second) {
					t.Errorf("took %v, want pauses of 0.5, 0.75, 1.13 and 1.69 s, up to 20 %% longer", took)
				}

				c = &creator{errs: []error{tt.err}, status: builderStatus()}
				client = must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: c, Audiences: []string{"vault"}}))
				id, err := client.Authenticate(t.Context(), unsignedFrom(clusterIssuer))
				if (err == nil) != tt.isRetry || (id != nil) != tt.isRetry {
					t.Errorf("after one failure, Authenticate() = %v, %v, want success: %v", id, err, tt.isRetry)
				}
			})
		})
	}
}

// One deadline holds for all attempts, and for a Creator that ignores its context.
func TestClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := io.ErrUnexpectedEOF
		for _, tt := range []struct {
			creator creator
			timeout time.Duration
			want    error
		}{
			{creator{hang: true}, 10 * time.Second, context.DeadlineExceeded},
			{creator{errs: []error{down}, hang: true}, 10 * time.Second, down},
			{creator{errs: slices.Repeat([]error{down}, 9)}, time.Second, down},
		} {
			sent := 0
			cfg := tokenreview.ClientConfig{
				Reviews: &tt.creator, Audiences: []string{"vault"}, Timeout: tt.timeout,
				Observe: func(_ context.Context, e tokenreview.ClientEvent) { sent = len(e.Attempts) },
			}
			if tt.timeout == 10*time.Second {
				cfg.Timeout = 0
			}
			start := time.Now()
			_, err := must(tokenreview.NewClient(cfg)).Authenticate(t.Context(), unsignedFrom(clusterIssuer))
			if took := time.Since(start); took != tt.timeout || !errors.Is(err, tt.want) {
				t.Errorf("Authenticate() = %v after %v, want %v after %v", err, took, tt.want, tt.timeout)
			}
			synctest.Wait() // for the call that hangs
			if sent != len(tt.creator.got) {
				t.Errorf("Observe got %d attempts, want %d, as many as were sent", sent, len(tt.creator.got))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: &creator{hang: true}, Audiences: []string{"vault"}})).Authenticate(ctx, unsignedFrom(clusterIssuer))
		if took := time.Since(start); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Authenticate() = %v after %v, want the caller's deadline", err, took)
		}
		time.Sleep(2 * time.Hour) // until the Creators have returned
	})
}

func TestClientFaults(t *testing.T) {
	var event tokenreview.ClientEvent
	for name, f := range map[string]tokenreview.CreatorFunc{
		"nothing": func(context.Context, *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			return nil, nil
		},
		"panic": func(context.Context, *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			panic("hunter2")
		},
	} {
		client := must(tokenreview.NewClient(tokenreview.ClientConfig{
			Reviews: f, Audiences: []string{"vault"}, Attempts: map[string]int{"nothing": 1, "panic": 5}[name],
			Observe: func(_ context.Context, e tokenreview.ClientEvent) { event = e },
		}))
		id, err := client.Authenticate(t.Context(), unsignedFrom(clusterIssuer))
		if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || id != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: Authenticate() = %v, %v, want an UnavailableError", name, id, err)
		}
		if len(event.Attempts) != 1 {
			t.Errorf("%s: sent %d TokenReviews, want 1", name, len(event.Attempts))
		}
		if (event.Panic == "hunter2" && len(event.Stack) > 0) != (name == "panic") {
			t.Errorf("%s: Observe got the panic %v", name, event.Panic)
		}
	}
}

func TestNewClient(t *testing.T) {
	_, err := tokenreview.NewClient(tokenreview.ClientConfig{
		Reviews: (*creator)(nil), Audiences: []string{""}, Issuers: []string{""}, ImplicitAudiences: []string{""}, Timeout: -1, Attempts: -1, MaxConcurrent: -1,
	})
	const want = `tokenreview: ClientConfig.Reviews is required, want a Creator
tokenreview: ClientConfig.Audiences is [""], want at least one audience and no empty one
tokenreview: ClientConfig.Issuers has an empty one, want issuers of the cluster
tokenreview: ClientConfig.ImplicitAudiences has an empty one, want audiences
tokenreview: ClientConfig.Timeout is -1ns, want 0 for the default or a positive value
tokenreview: ClientConfig.Attempts is -1, want 0 for the default or a positive value
tokenreview: ClientConfig.MaxConcurrent is -1, want 0 for the default or a positive value`
	if _, ok := errors.AsType[*tokenreview.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("NewClient() =\n%v\nwant\n%s", err, want)
	}
	if _, err := tokenreview.NewClient(tokenreview.ClientConfig{Reviews: &creator{}}); err == nil || !strings.Contains(err.Error(), "ClientConfig.Audiences is []") {
		t.Errorf("NewClient() without audiences = %v, want an error", err)
	}
}

// What the caller does with the slices of the config later doesn't count.
func TestClientKeepsItsConfig(t *testing.T) {
	c := &creator{status: builderStatus()}
	c.status.Audiences = nil
	audiences, issuers, implicit := []string{"vault"}, []string{clusterIssuer}, []string{"vault"}
	client := must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: c, Audiences: audiences, Issuers: issuers, ImplicitAudiences: implicit}))
	audiences[0], issuers[0], implicit[0] = "changed", "changed", "changed"
	if id, err := client.Authenticate(t.Context(), unsignedFrom(clusterIssuer)); err != nil || !slices.Equal(id.Audiences, []string{"vault"}) {
		t.Errorf("Authenticate() = %+v, %v, want the audience vault", id, err)
	}
}

// One attempt and one call at a time are no defaults. A call that hangs keeps its place.
func TestClientBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &creator{errs: []error{io.ErrUnexpectedEOF, io.ErrUnexpectedEOF}, hang: true}
		client := must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: c, Audiences: []string{"vault"}, Attempts: 2, MaxConcurrent: 1, Timeout: time.Minute}))
		authenticate := func() error {
			_, err := client.Authenticate(t.Context(), unsignedFrom(clusterIssuer))
			synctest.Wait() // for the call that hangs
			return err
		}
		if err := authenticate(); err == nil || len(c.got) != 2 {
			t.Errorf("Authenticate() = %v after %d TokenReviews, want an error after 2", err, len(c.got))
		}
		for range 2 {
			if err := authenticate(); err == nil || len(c.got) != 3 {
				t.Errorf("Authenticate() = %v after %d TokenReviews, want an error, and no further one while the third hangs", err, len(c.got))
			}
		}
		time.Sleep(2 * time.Hour) // until the Creator has returned

		var sent atomic.Int32
		hangs := tokenreview.CreatorFunc(func(ctx context.Context, _ *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			sent.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		client = must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: hangs, Audiences: []string{"vault"}}))
		for range 100 {
			go client.Authenticate(t.Context(), unsignedFrom(clusterIssuer)) //nolint:errcheck // what is sent counts
		}
		synctest.Wait()
		if got := sent.Load(); got != 64 {
			t.Errorf("%d TokenReviews are under way, want 64", got)
		}
		time.Sleep(time.Minute)
	})
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
