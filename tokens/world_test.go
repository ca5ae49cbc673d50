package tokens_test

import (
	"crypto"
	"errors"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

const (
	issuerURL = tokentest.IssuerURL
	api       = tokentest.APIAudience
)

var (
	now      = tokentest.Now
	rsaKey   = tokentest.RSAKey
	ecKey    = tokentest.ECKey
	otherKey = tokentest.OtherKey
)

// object is a JSON object.
type object = map[string]any

func private(claims object) object { return claims["kubernetes.io"].(object) }

// wantInvalid checks that err is an InvalidError of reason, about what.
func wantInvalid(t *testing.T, err error, reason tokens.Reason, what string) {
	t.Helper()
	e, ok := errors.AsType[*tokens.InvalidError](err)
	if !ok || e.Reason != reason || e.Subject != what {
		t.Fatalf("got %#v, want an InvalidError with the reason %s about %q", err, reason, what)
	}
	if errors.Is(err, tokens.ErrNotRecognized) {
		t.Errorf("%v is ErrNotRecognized too", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func idOf(key crypto.Signer) (string, error) { return keys.ID(key.Public()) }
