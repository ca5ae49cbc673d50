//lint:file-ignore SA1019 broken keys can only be made by hand

package jose_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gojose "gopkg.in/square/go-jose.v2"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// TOK-1: the header is exactly this.
func TestSignHeader(t *testing.T) {
	for alg, key := range privateKeys {
		raw := sign(t, key(), "the-kid", claims)
		header, rest, _ := strings.Cut(raw, ".")
		payload, _, _ := strings.Cut(rest, ".")
		if got, want := string(must(base64.RawURLEncoding.DecodeString(header))), `{"alg":"`+alg+`","kid":"the-kid"}`; got != want {
			t.Errorf("header %s, want %s", got, want)
		}
		if got := string(must(base64.RawURLEncoding.DecodeString(payload))); got != claims {
			t.Errorf("payload %s, want %s", got, claims)
		}
	}
}

// What go-jose signs with the same key is the same token, but for the numbers
// that ECDSA draws.
func TestSignLikeGoJose(t *testing.T) {
	for alg, key := range privateKeys {
		signer := must(gojose.NewSigner(gojose.SigningKey{
			Algorithm: gojose.SignatureAlgorithm(alg),
			Key:       gojose.JSONWebKey{Key: key(), KeyID: "the-kid"},
		}, nil))
		want := must(must(signer.Sign([]byte(claims))).CompactSerialize())
		got := sign(t, key(), "the-kid", claims)
		if len(got) != len(want) || !oracle(got, key().Public()) {
			t.Errorf("%s: go-jose doesn't accept the token", alg)
		}
		if alg != "RS256" {
			got, want = got[:strings.LastIndexByte(got, '.')], want[:strings.LastIndexByte(want, '.')]
		}
		if got != want {
			t.Errorf("%s: Sign() = %s, go-jose makes %s", alg, got, want)
		}
	}
}

// A fakeKMS signs elsewhere, in whatever way sign says.
type fakeKMS struct {
	crypto.Signer
	sign func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k *fakeKMS) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(context.Background(), digest, opts)
}

// The header of SignTyped has a type too.
func TestSignTyped(t *testing.T) {
	raw, err := must(jose.NewSigner(p256Key(), "k")).SignTyped(t.Context(), []byte(claims))
	if err != nil || !strings.HasPrefix(raw, encode(`{"alg":"ES256","kid":"k","typ":"JWT"}`)+".") || !verdict(t, raw, p256Key().Public()) {
		t.Errorf("SignTyped() = %s, %v", raw, err)
	}
}

// A key needn't be a pointer.
func TestSignValue(t *testing.T) {
	if raw := sign(t, struct{ crypto.Signer }{p256Key()}, "k", claims); !verdict(t, raw, p256Key().Public()) {
		t.Error("a token of a key that is no pointer does not verify")
	}
}

// A contextKMS is a fakeKMS that knows contexts.
type contextKMS struct{ fakeKMS }

func (k *contextKMS) SignContext(ctx context.Context, _ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(ctx, digest, opts)
}

// KEY-13: a key elsewhere signs under the algorithm and id of its public key.
func TestSignElsewhere(t *testing.T) {
	for alg, key := range privateKeys {
		kms := &fakeKMS{Signer: key()}
		kms.sign = func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return key().Sign(rand.Reader, digest, opts)
		}
		for range 20 { // ECDSA numbers are sometimes short
			raw := sign(t, kms, "kms", claims)
			if !verdict(t, raw, key().Public()) || !oracle(raw, key().Public()) {
				t.Fatalf("%s: a token of a key elsewhere does not verify", alg)
			}
			if !strings.HasPrefix(raw, encode(`{"alg":"`+alg+`","kid":"kms"}`)+".") {
				t.Fatalf("%s: header of a key elsewhere: %s", alg, raw)
			}
		}
	}
}

// SECURITY M07: whatever the key does, no wrong token comes out and Sign ends
// with its context.
func TestSignElsewhereFails(t *testing.T) {
	broken := errors.New("the line is cut")
	type signFunc = func(context.Context, []byte, crypto.SignerOpts) ([]byte, error)
	tests := []struct {
		name string
		sign signFunc
		want error
		text string
	}{
		{name: "error", sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return nil, broken }, want: broken},
		{name: "panic", sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { panic("secret") }, text: "the key panicked"},
		{name: "nothing", sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }, text: "no ASN.1 ECDSA signature"},
		{name: "garbage", sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return []byte("garbage"), nil }, text: "no ASN.1 ECDSA signature"},
		{name: "number too large", sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) {
			return ecdsa.SignASN1(rand.Reader, p521Key(), make([]byte, 32))
		}, text: "no ASN.1 ECDSA signature"},
		{name: "another key", sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Sign(rand.Reader, digest, opts)
		}, want: jose.ErrSignature},
		{name: "a digest that it has changed", sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			clear(digest)
			return p256Key().Sign(rand.Reader, digest, opts)
		}, want: jose.ErrSignature},
		{name: "another digest", sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return p256Key().Sign(rand.Reader, make([]byte, 32), opts)
		}, want: jose.ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kms := fakeKMS{Signer: p256Key(), sign: tt.sign}
			for _, key := range []crypto.Signer{&kms, &contextKMS{kms}} {
				raw, err := must(jose.NewSigner(key, "k")).Sign(t.Context(), []byte(claims))
				if raw != "" || err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Sign() = %q, %v", raw, err)
				}
				if err != nil && strings.Contains(err.Error(), "secret") {
					t.Errorf("Sign() = %v, which tells what the key panicked with", err)
				}
			}
		})
	}

	t.Run("hangs", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		key := &fakeKMS{Signer: p256Key(), sign: func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) {
			cancel()
			<-release
			return nil, nil
		}}
		if _, err := must(jose.NewSigner(key, "k")).Sign(ctx, []byte(claims)); !errors.Is(err, context.Canceled) {
			t.Errorf("Sign() = %v, want context.Canceled", err)
		}
	})
	t.Run("is told to stop", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		key := &contextKMS{fakeKMS{Signer: p256Key(), sign: func(ctx context.Context, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
			cancel()
			<-ctx.Done()
			close(stopped)
			return nil, ctx.Err()
		}}}
		if _, err := must(jose.NewSigner(key, "k")).Sign(ctx, []byte(claims)); !errors.Is(err, context.Canceled) {
			t.Errorf("Sign() = %v, want context.Canceled", err)
		}
		<-stopped
	})
	t.Run("context done before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := must(jose.NewSigner(p256Key(), "k")).Sign(ctx, []byte(claims)); !errors.Is(err, context.Canceled) {
			t.Errorf("Sign() = %v, want context.Canceled", err)
		}
	})
}

// A key that always hangs leaves a bounded number of goroutines behind, and is used
// again when they have returned.
func TestSignElsewhereHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		signer := must(jose.NewSigner(&fakeKMS{Signer: p256Key(), sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			<-release
			return p256Key().Sign(rand.Reader, digest, opts)
		}}, "k"))
		before := runtime.NumGoroutine()
		var err error
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err = signer.Sign(ctx, []byte(claims))
			cancel()
		}
		if left := runtime.NumGoroutine() - before; left > 64+slack {
			t.Errorf("1,000 calls that hang left %d goroutines, want at most 64", left)
		}
		if want := "jose: signing: the key hangs: 64 calls have not returned"; err == nil || err.Error() != want {
			t.Errorf("Sign() = %v, want %q", err, want)
		}
		close(release)
		synctest.Wait()
		if _, err := signer.Sign(t.Context(), []byte(claims)); err != nil {
			t.Errorf("Sign() after the calls have returned = %v", err)
		}
	})
}

func TestNewSignerKey(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	mixed := *p256Key()
	mixed.PublicKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).PublicKey
	mixedRSA := rsa.PrivateKey{PublicKey: must(rsa.GenerateKey(rand.Reader, 2048)).PublicKey, D: rsaKey().D, Primes: rsaKey().Primes}
	wrongPrimes := rsa.PrivateKey{PublicKey: rsaKey().PublicKey, D: rsaKey().D, Primes: must(rsa.GenerateKey(rand.Reader, 2048)).Primes}
	negated := func(key *ecdsa.PrivateKey) *ecdsa.PrivateKey {
		return &ecdsa.PrivateKey{PublicKey: key.PublicKey, D: new(big.Int).Neg(key.D)}
	}
	for name, tt := range map[string]struct {
		key   crypto.Signer
		fault string
	}{
		"wrong primes":       {&wrongPrimes, jose.FaultPrivate},
		"D negated":          {negated(p256Key()), jose.FaultPrivate},
		"nil":                {nil, jose.FaultMissing},
		"nil RSA":            {(*rsa.PrivateKey)(nil), jose.FaultMissing},
		"nil ECDSA":          {(*ecdsa.PrivateKey)(nil), jose.FaultMissing},
		"empty RSA":          {&rsa.PrivateKey{}, jose.FaultMissing},
		"empty ECDSA":        {&ecdsa.PrivateKey{}, jose.FaultMissing},
		"Ed25519":            {ed, jose.FaultType},
		"RSA without D":      {&rsa.PrivateKey{PublicKey: rsaKey().PublicKey}, jose.FaultPrivate},
		"ECDSA without D":    {&ecdsa.PrivateKey{PublicKey: p256Key().PublicKey}, jose.FaultMissing},
		"another's public":   {&mixed, jose.FaultPrivate},
		"another's public N": {&mixedRSA, jose.FaultPrivate},
		"P-224":              {must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), jose.FaultCurve},
		"D out of the curve": {&ecdsa.PrivateKey{PublicKey: p256Key().PublicKey, D: new(big.Int).Lsh(big.NewInt(1), 300)}, jose.FaultPrivate},
		"negative D":         {&ecdsa.PrivateKey{PublicKey: p256Key().PublicKey, D: big.NewInt(-1)}, jose.FaultPrivate},
	} {
		_, err := jose.NewSigner(tt.key, "k")
		if e, ok := errors.AsType[*jose.KeyError](err); !ok || e.Fault != tt.fault {
			t.Errorf("%s: NewSigner() = %v, want fault %q", name, err, tt.fault)
		}
	}
}

// slack is for goroutines that are ending.
const slack = 4
