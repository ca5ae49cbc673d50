package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kubesa/serviceaccount/tokens"
)

// A verifier answers all tokens alike, and counts them.
type verifier struct {
	identity *tokens.Identity
	err      error
	calls    int
}

func (v *verifier) Authenticate(context.Context, string, ...string) (*tokens.Identity, error) {
	v.calls++
	return v.identity, v.err
}

func TestChain(t *testing.T) {
	var (
		id       = &tokens.Identity{Name: "builder"}
		foreign  = &tokens.NotRecognizedError{Reason: tokens.ReasonForeignIssuer}
		garbage  = &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
		invalid  = &tokens.InvalidError{Reason: tokens.ReasonExpired}
		down     = &tokens.UnavailableError{Subject: "Pod", Err: errors.New("down")}
		another  = errors.New("of an implementation of its own")
		accepted = verifier{identity: id}
	)
	for _, tt := range []struct {
		name  string
		links []verifier
		want  error // nil: accepted
		calls []int
	}{
		{name: "accepted", links: []verifier{accepted, {err: invalid}}, calls: []int{1, 0}},
		{name: "not the first one's", links: []verifier{{err: foreign}, accepted}, calls: []int{1, 1}},
		{name: "rejected", links: []verifier{{err: invalid}, accepted}, want: invalid, calls: []int{1, 0}},
		{name: "rejected, wrapped", links: []verifier{{err: fmt.Errorf("why: %w", invalid)}, accepted}, want: invalid, calls: []int{1, 0}},
		{name: "the first fails, the second accepts", links: []verifier{{err: down}, accepted}, calls: []int{1, 1}},
		{name: "the first fails, the second rejects", links: []verifier{{err: down}, {err: invalid}}, want: invalid, calls: []int{1, 1}},
		{name: "the first fails, the second doesn't know it", links: []verifier{{err: down}, {err: foreign}}, want: down, calls: []int{1, 1}},
		{name: "the second fails", links: []verifier{{err: foreign}, {err: down}, {err: garbage}}, want: down, calls: []int{1, 1, 1}},
		{name: "both fail", links: []verifier{{err: down}, {err: another}}, want: down, calls: []int{1, 1}},
		{name: "nobody knows it", links: []verifier{{err: garbage}, {err: foreign}}, want: garbage, calls: []int{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var links []tokens.Verifier
			for i := range tt.links {
				links = append(links, &tt.links[i])
			}
			chain, err := tokens.NewChain(links...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := chain.Authenticate(t.Context(), "token")
			if !errors.Is(err, tt.want) || (tt.want == nil) != (got == id) {
				t.Errorf("Authenticate() = %v, %v, want %v", got, err, tt.want)
			}
			for i, want := range tt.calls {
				if tt.links[i].calls != want {
					t.Errorf("Verifier %d was asked %d times, want %d", i, tt.links[i].calls, want)
				}
			}
		})
	}
	chain, _ := tokens.NewChain(&verifier{})
	if id, err := chain.Authenticate(t.Context(), "token"); id != nil || err == nil || errors.Is(err, tokens.ErrNotRecognized) {
		t.Errorf("a Verifier that returns nothing: Authenticate() = %v, %v, want an error", id, err)
	}
}

func TestNewChain(t *testing.T) {
	for _, tt := range []struct {
		links []tokens.Verifier
		want  string
	}{
		{nil, "tokens: Chain.Verifiers is empty, want at least one"},
		{[]tokens.Verifier{&verifier{}, nil, (*tokens.Authenticator)(nil)}, "tokens: Chain.Verifiers[1] is required, want a Verifier\ntokens: Chain.Verifiers[2] is required, want a Verifier"},
	} {
		_, err := tokens.NewChain(tt.links...)
		if _, ok := errors.AsType[*tokens.ConfigError](err); !ok || err.Error() != tt.want {
			t.Errorf("NewChain() = %v, want a ConfigError %q", err, tt.want)
		}
	}
}
