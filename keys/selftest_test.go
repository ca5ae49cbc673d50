package keys_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// A signerFunc is a Signer of one function, a sourceFunc a Source.
type (
	signerFunc func(ctx context.Context, payload []byte) (string, error)
	sourceFunc func(ctx context.Context, id string) ([]keys.PublicKey, error)
)

func (f signerFunc) Sign(ctx context.Context, payload []byte) (string, error) { return f(ctx, payload) }

func (f sourceFunc) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	return f(ctx, id)
}

// A pair that doesn't match is told from one that could not be asked.
func TestSelfTest(t *testing.T) {
	signer, broken := keystest.Must(keys.NewSigner(keystest.P256Key())), errors.New("the line is cut")
	otherID := keystest.Must(keys.NewSet(keystest.P384Key())).PublicKeys
	tests := []struct {
		name   string
		signer keys.Signer
		source keys.Source
		want   error
	}{
		{"match", signer, keystest.Must(keys.NewSet(keystest.RSAKey(), keystest.P256Key())), nil},
		{"another key", signer, keystest.Must(keys.NewSet(keystest.P384Key())), keys.ErrMismatch},
		{"no key", signer, keystest.Must(keys.NewSet()), keys.ErrMismatch},
		{"another key under the id", signer, sourceFunc(func(ctx context.Context, _ string) ([]keys.PublicKey, error) { return otherID(ctx, "") }), keys.ErrMismatch},
		{"no token", signerFunc(func(context.Context, []byte) (string, error) { return "x.y", nil }), keystest.Must(keys.NewSet(keystest.P256Key())), keys.ErrMismatch},
		{"signer fails", signerFunc(func(context.Context, []byte) (string, error) { return "", broken }), keystest.Must(keys.NewSet(keystest.P256Key())), broken},
		{"source fails", signer, sourceFunc(func(context.Context, string) ([]keys.PublicKey, error) { return nil, broken }), broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := keys.SelfTest(t.Context(), tt.signer, tt.source)
			if !errors.Is(err, tt.want) || tt.want != keys.ErrMismatch && errors.Is(err, keys.ErrMismatch) {
				t.Errorf("SelfTest() = %v, want %v", err, tt.want)
			}
		})
	}
}

// What isn't there is said at once, all of it.
func TestSelfTestOfNothing(t *testing.T) {
	for _, set := range []keys.Source{nil, (*keys.Set)(nil)} {
		err := keys.SelfTest(t.Context(), nil, set)
		if mistake, ok := errors.AsType[*keys.ConfigError](err); !ok || mistake.Field != "signer" || !strings.Contains(err.Error(), "SelfTest.source") {
			t.Errorf("SelfTest(nil, %T) = %v, want both mistakes", set, err)
		}
	}
}

// What hangs or panics doesn't hold the caller up.
func TestSelfTestReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, signer := keystest.Must(keys.NewSet(keystest.P256Key())), keystest.Must(keys.NewSigner(keystest.P256Key()))
		release := make(chan struct{})
		for _, tt := range []struct {
			name   string
			signer keys.Signer
			source keys.Source
			want   string
		}{
			{"signer hangs", signerFunc(func(context.Context, []byte) (string, error) { <-release; return "", nil }), set, "keys: self-test: signing: context deadline exceeded"},
			{"signer panics", signerFunc(func(context.Context, []byte) (string, error) { panic("hunter2") }), set, "keys: self-test: signing: the signer panicked"},
			{"source hangs", signer, sourceFunc(func(context.Context, string) ([]keys.PublicKey, error) { <-release; return nil, nil }), "keys: self-test: looking for the key: context deadline exceeded"},
			{"source panics", signer, sourceFunc(func(context.Context, string) ([]keys.PublicKey, error) { panic("hunter2") }), "keys: self-test: looking for the key: the source panicked"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := keys.SelfTest(ctx, tt.signer, tt.source); err == nil || err.Error() != tt.want {
				t.Errorf("%s: SelfTest() = %v, want %q", tt.name, err, tt.want)
			}
			cancel()
		}
		close(release)
	})
}
