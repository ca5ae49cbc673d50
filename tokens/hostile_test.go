package tokens_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// V14: a getter that was refused with a token of its own says nothing about the one that
// is presented.
func TestLookupRefusedWithAnotherToken(t *testing.T) {
	for _, refused := range []error{
		&tokens.InvalidError{Reason: tokens.ReasonExpired},
		&tokens.NotRecognizedError{Reason: tokens.ReasonMalformed},
		errors.Join(errors.New("both"), &tokens.InvalidError{Reason: tokens.ReasonExpired}),
	} {
		w := tokentest.NewWorld()
		w.Err = fmt.Errorf("asking the cluster: %w", refused)
		var event tokens.Event
		a := tokentest.NewAuthenticator(t, w, nil)
		chain, err := tokens.NewChain(a)
		if err != nil {
			t.Fatal(err)
		}
		token := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
		_, event = a.Evaluate(t.Context(), token)
		_, chained := chain.Authenticate(t.Context(), token)
		for _, err := range []error{event.Err, chained} {
			_, invalid := errors.AsType[*tokens.InvalidError](err)
			if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || invalid || errors.Is(err, tokens.ErrNotRecognized) || !strings.Contains(e.Error(), "asking the cluster") {
				t.Errorf("getters that return %v: Authenticate() = %#v, want only an UnavailableError", refused, err)
			}
		}
		if event.Result != tokens.ResultUnavailable {
			t.Errorf("the result is %q", event.Result)
		}
	}
}

// What an Event says of audiences doesn't grow with what a client asks for.
func TestDetailOfManyAudiences(t *testing.T) {
	claims := tokentest.BoundClaims()
	var own []string
	for i := range 64 {
		own = append(own, fmt.Sprint(strings.Repeat("a", 100), i))
	}
	claims["aud"] = own
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)
	requested := make([]string, 100_000)
	for i := range requested {
		requested[i] = strings.Repeat("\x00", 20) + fmt.Sprint(i)
	}
	_, e := a.Evaluate(t.Context(), tokentest.Mint(t, ecKey, claims), requested...)
	if e.Reason != tokens.ReasonAudience || len(e.Detail) > 16<<10 || !strings.Contains(e.Detail, "and 99992 more") || !strings.Contains(e.Detail, "and 56 more") {
		t.Errorf("%s with a detail of %d bytes: %.200s, want Audience with up to 16 KiB that count the rest", e.Reason, len(e.Detail), e.Detail)
	}
	claims["aud"] = own[:8]
	_, e = a.Evaluate(t.Context(), tokentest.Mint(t, ecKey, claims), requested[:9]...)
	if strings.Count(e.Detail, " more") != 1 || !strings.Contains(e.Detail, "and 1 more") {
		t.Errorf("the detail of 8 and 9 audiences is %s, want it to count the ninth", e.Detail)
	}
}
