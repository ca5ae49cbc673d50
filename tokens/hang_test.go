package tokens_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

// The Event of a lookup that panicked has the value and the stack; what Authenticate
// returns shows neither.
func TestEventPanic(t *testing.T) {
	w := tokentest.NewWorld()
	getters := must(objectcache.New(objectcache.Getters{ServiceAccounts: tokentest.AccountFunc(func(context.Context) (*corev1.ServiceAccount, error) {
		panic("hunter2")
	})}, objectcache.Config{TTL: time.Second}))
	var event tokens.Event
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
		cfg.ServiceAccounts = getters.ServiceAccounts
		cfg.Observe = func(_ context.Context, e tokens.Event) { event = e }
	})
	_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
	if want := "tokens: looking up the ServiceAccount: the getter panicked"; err == nil || err.Error() != want {
		t.Errorf("Authenticate() = %v, want %q", err, want)
	}
	if event.Panic != "hunter2" || !strings.Contains(string(event.Stack), "TestEventPanic") {
		t.Errorf("the Event has the panic %v and a stack of %d bytes, want those of the getter", event.Panic, len(event.Stack))
	}
}
