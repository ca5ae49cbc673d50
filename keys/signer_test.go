//lint:file-ignore SA1019 broken keys can only be made by hand

package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// KEY-14, TOK-T29: ids are those of Kubernetes.
func TestID(t *testing.T) {
	list := keystest.Must(keys.ParsePublicKeys([]byte(keystest.UpstreamRSA + keystest.UpstreamEC)))
	for i, want := range []string{"JHJehTTTZlsspKHT-GaJxK7Kd1NQgZJu3fyK6K_QDYU", "SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc"} {
		for range 2 {
			if got := keystest.Must(keys.ID(list[i])); got != want {
				t.Errorf("ID() = %s, want %s", got, want)
			}
		}
	}
	for _, key := range []any{nil, (*ecdsa.PublicKey)(nil), "x", keystest.WeakKey().Public(), keystest.P256Key()} {
		if _, err := keys.ID(key); !isKeyError(err) {
			t.Errorf("ID(%T) = %v, want a KeyError", key, err)
		}
	}
}

// KEY-10, SECURITY J05: one key, one algorithm.
func TestGenerate(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.RS256, keys.ES256, keys.ES384, keys.ES512} {
		key := keystest.Must(keys.Generate(alg))
		if got := keystest.Must(keys.AlgorithmOf(key.Public())); got != alg {
			t.Errorf("AlgorithmOf(Generate(%s)) = %s", alg, got)
		}
		if key, ok := key.(*rsa.PrivateKey); ok && key.N.BitLen() != 2048 {
			t.Errorf("Generate(%s) made a key of %d bits", alg, key.N.BitLen())
		}
		signer := keystest.Must(keys.NewSigner(key))
		if got := signer.PublicKey(); got.Algorithm != alg || got.ID != keystest.Must(keys.ID(key.Public())) || got.Unpublished {
			t.Errorf("PublicKey() = %+v", got)
		}
		token := keystest.Must(jose.Parse(keystest.Must(signer.Sign(t.Context(), []byte(`{}`))), 0))
		if token.Algorithm != string(alg) || token.KeyID != signer.PublicKey().ID || token.Type != "" {
			t.Errorf("header %+v", token)
		}
		if err := token.Verify(signer.PublicKey().Key); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	}
	for _, alg := range []keys.Algorithm{"", "none", "HS256", "PS256", "EdDSA"} {
		if _, err := keys.Generate(alg); err == nil {
			t.Errorf("Generate(%q) made a key", alg)
		}
	}
}

// KEY-2, KEY-11, KEY-12, KEY-10 (deviation): keys that don't sign, in the words
// of Kubernetes where it refuses them too.
func TestNewSignerRefuses(t *testing.T) {
	for _, tt := range []struct {
		key   crypto.Signer
		fault keys.Reason
		text  string
	}{
		{keystest.EdKey(), keys.ReasonType, "unknown private key type ed25519.PrivateKey, must be *rsa.PrivateKey, *ecdsa.PrivateKey, or jose.OpaqueSigner"},
		{nil, keys.ReasonMissing, "unknown private key type <nil>, must be *rsa.PrivateKey, *ecdsa.PrivateKey, or jose.OpaqueSigner"},
		{(*rsa.PrivateKey)(nil), keys.ReasonMissing, "unknown private key type *rsa.PrivateKey"},
		{(*ecdsa.PrivateKey)(nil), keys.ReasonMissing, "unknown private key type *ecdsa.PrivateKey"},
		{&kms{}, keys.ReasonMissing, "unknown private key type *keys_test.kms"},
		{keystest.P224Key(), keys.ReasonCurve, "could not generate signer for ECDSA keypair: unknown private key curve, must be 256, 384, or 521"},
		{keystest.WeakKey(), keys.ReasonSize, "RSA modulus of 1024 bits, want 2048 to 8192"},
		{&rsa.PrivateKey{PublicKey: keystest.RSAKey().PublicKey, D: keystest.P256Key().D}, keys.ReasonPrivateKey, "doesn't belong to its public key"},
		{&ecdsa.PrivateKey{PublicKey: keystest.P256Key().PublicKey, D: keystest.P384Key().D}, keys.ReasonPrivateKey, "doesn't belong to its public key"},
	} {
		_, err := keys.NewSigner(tt.key)
		e, ok := errors.AsType[*keys.KeyError](err)
		if !ok || e.Reason != tt.fault || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "keys: ") {
			t.Errorf("NewSigner(%T) = %v, want fault %q and %q", tt.key, err, tt.fault, tt.text)
		}
		if err != nil && tt.fault != keys.ReasonCurve && strings.Contains(err.Error(), "curve") {
			t.Errorf("NewSigner(%T) = %v, which is no matter of curves", tt.key, err)
		}
	}
}

// A kms is a key elsewhere.
type kms struct {
	public crypto.PublicKey
	sign   func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k *kms) Public() crypto.PublicKey { return k.public }
func (k *kms) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("called without a context")
}
func (k *kms) SignContext(ctx context.Context, _ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.sign(ctx, digest, opts)
}

// KEY-13, SECURITY M07: algorithm and id are those of the public key; what the
// key returns is verified first.
func TestSignerElsewhere(t *testing.T) {
	var _ keys.ContextSigner = (*kms)(nil)
	key := keystest.P384Key()
	signer := keystest.Must(keys.NewSigner(&kms{public: key.Public(), sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return key.Sign(rand.Reader, digest, opts)
	}}))
	token := keystest.Must(jose.Parse(keystest.Must(signer.Sign(t.Context(), []byte(`{"sub":"s"}`))), 0))
	if token.Algorithm != "ES384" || token.KeyID != keystest.Must(keys.ID(key.Public())) || token.Verify(key.Public()) != nil {
		t.Errorf("a token of a key elsewhere: %+v", token)
	}

	other := keystest.Must(keys.NewSigner(&kms{public: keystest.RSAKey().Public(), sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return keystest.Must(rsa.GenerateKey(rand.Reader, 2048)).Sign(rand.Reader, digest, opts)
	}}))
	if raw, err := other.Sign(t.Context(), []byte(`{}`)); err == nil {
		t.Errorf("Sign() with another key = %q", raw)
	}

	ctx, cancel := context.WithCancel(t.Context())
	hanging := keystest.Must(keys.NewSigner(&kms{public: key.Public(), sign: func(ctx context.Context, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}))
	if _, err := hanging.Sign(ctx, []byte(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign() = %v, want context.Canceled", err)
	}
}

// SECURITY L02: a signer prints as the id of its key.
func TestSignerRedacts(t *testing.T) {
	signer := keystest.Must(keys.NewSigner(keystest.P256Key()))
	want := "keys.LocalSigner(ES256 " + signer.PublicKey().ID + ")"
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "signer", signer)
	outputs := []string{fmt.Sprint(signer), string(keystest.Must(json.Marshal(signer))), string(keystest.Must(json.Marshal(map[string]any{"signer": signer}))), log.String(), fmt.Sprint([]any{signer})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T%[1]v"} {
		outputs = append(outputs, fmt.Sprintf(verb, signer), fmt.Sprintf(verb, struct{ S keys.Signer }{signer}))
	}
	d, x := keystest.P256Key().D, keystest.P256Key().X
	for _, out := range outputs {
		if !strings.Contains(out, want) {
			t.Errorf("printed %q, want %q", out, want)
		}
		for _, leak := range []string{d.String(), d.Text(16), x.String()} {
			if strings.Contains(out, leak) {
				t.Errorf("printed a number of the key: %q", out)
			}
		}
	}
	var none *keys.LocalSigner
	if got := fmt.Sprintf("%v", none); got != "keys.LocalSigner(nil)" {
		t.Errorf("nil printed %q", got)
	}
}

// KEY-20, KEY-22, KEY-23: a set keeps order and duplicates, and knows private
// keys by their public halves.
func TestSet(t *testing.T) {
	set := keystest.Must(keys.NewSet(keystest.RSAKey(), keystest.P256Key().Public(), keystest.P384Key(), keystest.P256Key()))
	of := func(keys ...crypto.Signer) (ids []string) {
		for _, key := range keys {
			ids = append(ids, keystest.ID(key))
		}
		return ids
	}
	for _, tt := range []struct {
		id   string
		want []string
	}{
		{"", of(keystest.RSAKey(), keystest.P256Key(), keystest.P384Key(), keystest.P256Key())},
		{keystest.ID(keystest.RSAKey()), of(keystest.RSAKey())},
		{keystest.ID(keystest.P256Key()), of(keystest.P256Key(), keystest.P256Key())},
		{keystest.ID(keystest.P521Key()), nil},
		{"unknown", nil},
	} {
		list, err := set.PublicKeys(t.Context(), tt.id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, key := range list {
			got = append(got, key.ID)
			if _, err := keys.AlgorithmOf(key.Key); err != nil || key.Unpublished {
				t.Errorf("PublicKeys() has %+v", key)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("PublicKeys(%q) (-want +got):\n%s", tt.id, diff)
		}
	}
	if got := set.MaxAge(); got != time.Hour {
		t.Errorf("MaxAge() = %s, want 1h", got)
	}
	if list, err := keystest.Must(keys.NewSet()).PublicKeys(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("an empty set: %v, %v", list, err)
	}
}

// KEY-21, SECURITY K01, K02, K03, J03: every key that isn't used is reported.
func TestNewSetRefuses(t *testing.T) {
	_, err := keys.NewSet(keystest.P256Key(), "x", nil, keystest.WeakKey(), keystest.P384Key(), keystest.P224Key().Public(), keystest.EdKey().Public(), []byte("secret"), (*rsa.PrivateKey)(nil), (*ecdsa.PublicKey)(nil))
	if err == nil {
		t.Fatal("NewSet() accepted them all")
	}
	want := []string{
		`keys: key #1: failed to serialize public key to DER format: unusable key: type string, want *rsa.PublicKey or *ecdsa.PublicKey`,
		`keys: key #2: failed to serialize public key to DER format: unusable key: no key`,
		`keys: key #3: failed to serialize public key to DER format: unusable key: RSA modulus of 1024 bits, want 2048 to 8192`,
		`keys: key #5: failed to serialize public key to DER format: unusable key: ECDSA curve is none of P-256, P-384 and P-521`,
		`keys: key #6: failed to serialize public key to DER format: unusable key: type ed25519.PublicKey, want *rsa.PublicKey or *ecdsa.PublicKey`,
		`keys: key #7: failed to serialize public key to DER format: unusable key: type []uint8, want *rsa.PublicKey or *ecdsa.PublicKey`,
		`keys: key #8: failed to serialize public key to DER format: unusable key: no key`,
		`keys: key #9: failed to serialize public key to DER format: unusable key: no key`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("NewSet() (-want +got):\n%s", diff)
	}
	if !isKeyError(err) {
		t.Errorf("NewSet() = %T, want it to wrap a KeyError", err)
	}
	for _, bad := range []crypto.PublicKey{nil, keystest.WeakKey().Public()} {
		if set, err := keys.NewSet(keystest.P256Key(), bad); err == nil || set != nil || strings.Count(err.Error(), "\n") != 0 || !isKeyError(err) {
			t.Errorf("NewSet() of a good and a bad key = %v, %v; want one KeyError", set, err)
		}
	}
}

// KEY-23: a source says how long others may keep its keys, or an hour is meant.
func TestMaxAge(t *testing.T) {
	for _, tt := range []struct {
		source keys.Source
		want   time.Duration
	}{
		{keystest.Must(keys.NewSet()), time.Hour},
		{struct{ keys.Source }{keystest.Must(keys.NewSet())}, time.Hour},
		{aged{keystest.Must(keys.NewSet()), time.Minute}, time.Minute},
		{aged{keystest.Must(keys.NewSet()), 0}, 0},
		{aged{keystest.Must(keys.NewSet()), -time.Minute}, 0},
	} {
		if got := keys.MaxAge(tt.source); got != tt.want {
			t.Errorf("MaxAge(%T) = %v, want %v", tt.source, got, tt.want)
		}
	}
}

type aged struct {
	keys.Source
	age time.Duration
}

func (a aged) MaxAge() time.Duration { return a.age }
