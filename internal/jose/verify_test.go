//lint:file-ignore SA1019 broken keys can only be made by hand

package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"os"
	"strings"
	"testing"

	gojose "gopkg.in/square/go-jose.v2"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// oracle is the verdict of go-jose, told which algorithm to expect.
func oracle(raw string, key crypto.PublicKey) bool {
	alg, err := jose.AlgorithmOf(key)
	if err != nil {
		return false
	}
	jws, err := gojose.ParseSigned(raw)
	if err != nil || len(jws.Signatures) != 1 || jws.Signatures[0].Header.Algorithm != alg {
		return false
	}
	_, err = jws.Verify(key)
	return err == nil
}

// verdict is ours, after checking that go-jose has the same on every token
// that the guard lets through.
func verdict(t *testing.T, raw string, key crypto.PublicKey) bool {
	t.Helper()
	token, err := jose.Parse(raw, 0)
	if err != nil {
		return false
	}
	got, want := token.Verify(key) == nil, oracle(raw, key)
	if got != want {
		t.Errorf("Verify() = %t, go-jose says %t, of %s", got, want, raw)
	}
	return got
}

var privateKeys = map[string]func() crypto.Signer{
	"RS256": func() crypto.Signer { return rsaKey() },
	"ES256": func() crypto.Signer { return p256Key() },
	"ES384": func() crypto.Signer { return p384Key() },
	"ES512": func() crypto.Signer { return p521Key() },
}

// KEY-10, SECURITY J07: a token verifies with the key that signed it, and with
// no other.
func TestVerify(t *testing.T) {
	for alg, signing := range privateKeys {
		raw := sign(t, signing(), "k", claims)
		token, err := jose.Parse(raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		if token.Algorithm != alg {
			t.Errorf("a token of %s names %s", alg, token.Algorithm)
		}
		for other, key := range privateKeys {
			err := token.Verify(key().Public())
			if other == alg && err != nil || other != alg && !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("a token of %s, verified with the key of %s: %v", alg, other, err)
			}
			if verdict(t, raw, key().Public()) != (other == alg) {
				t.Errorf("a token of %s and the key of %s: wrong verdict", alg, other)
			}
		}
	}
	token, err := jose.Parse(sign(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "", claims), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(p256Key().Public()); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("Verify(a key of the same algorithm) = %v, want ErrSignature", err)
	}
}

// TOK-37 (deviation), SECURITY J01, J02, J05, J06: the key alone decides on
// the algorithm, however good the signature is under another one.
func TestVerifyAlgorithm(t *testing.T) {
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	type signing struct {
		alg gojose.SignatureAlgorithm
		key any
	}
	tests := []struct {
		signing
		verify crypto.PublicKey
	}{
		{signing{gojose.RS384, rsaKey()}, &rsaKey().PublicKey},
		{signing{gojose.RS512, rsaKey()}, &rsaKey().PublicKey},
		{signing{gojose.PS256, rsaKey()}, &rsaKey().PublicKey},
		{signing{gojose.PS384, rsaKey()}, &rsaKey().PublicKey},
		{signing{gojose.PS512, rsaKey()}, &rsaKey().PublicKey},
		{signing{gojose.HS256, der}, &rsaKey().PublicKey},
		{signing{gojose.HS256, rsaKey().N.Bytes()}, &rsaKey().PublicKey},
		{signing{gojose.HS256, must(p256Key().PublicKey.Bytes())}, &p256Key().PublicKey},
	}
	for _, tt := range tests {
		signer := must(gojose.NewSigner(gojose.SigningKey{Algorithm: tt.alg, Key: tt.key}, nil))
		raw := must(must(signer.Sign([]byte(claims))).CompactSerialize())
		token, err := jose.Parse(raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Verify(tt.verify); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("%s: Verify() = %v, want ErrAlgorithm", tt.alg, err)
		}
	}

	for _, alg := range []string{"none", "None", "NONE", "nOnE", "es256", "ES256 ", "ES384", "ES512", "EdDSA", "RS256", "HS256"} {
		for _, raw := range []string{
			compact(`{"alg":"`+alg+`"}`, claims),
			encode(`{"alg":"`+alg+`"}`) + "." + encode(claims) + ".AA",
		} {
			token, err := jose.Parse(raw, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := token.Verify(&p256Key().PublicKey); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("alg %q: Verify() = %v, want ErrAlgorithm", alg, err)
			}
		}
	}

	// A P-256 signature over the hash of ES512, named ES512: bare go-jose takes it.
	input := encode(`{"alg":"ES512"}`) + "." + encode(claims)
	sum := sha512.Sum512([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p256Key(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(input+"."+base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Verify(&p256Key().PublicKey); !errors.Is(err, jose.ErrAlgorithm) {
		t.Errorf("ES512 by P-256: Verify() = %v, want ErrAlgorithm", err)
	}
}

// SECURITY J03: what isn't a public key verifies nothing and panics nowhere.
func TestVerifyKey(t *testing.T) {
	token, err := jose.Parse(compact(es256, claims), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{
		"nil": nil, "bytes": []byte("secret"), "string": "secret", "private": p256Key(), "value": p256Key().PublicKey,
		"nil RSA": (*rsa.PublicKey)(nil), "nil ECDSA": (*ecdsa.PublicKey)(nil), "empty RSA": &rsa.PublicKey{}, "empty ECDSA": &ecdsa.PublicKey{},
	} {
		err := token.Verify(key)
		if e, ok := errors.AsType[*jose.KeyError](err); !ok || e.Fault != jose.FaultMissing && e.Fault != jose.FaultType {
			t.Errorf("%s: Verify() = %v, want a KeyError", name, err)
		}
	}
	off := ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	if err := token.Verify(&off); err == nil {
		t.Error("Verify(off the curve) = nil")
	}
}

// SECURITY J08: r and s out of range, or of another length.
func TestVerifySignatureForm(t *testing.T) {
	good := compact(es256, claims)
	input, _, _ := cutLast(good)
	n := elliptic.P256().Params().N
	half := func(x *big.Int) string { return string(x.FillBytes(make([]byte, 32))) }
	sig := string(must(base64.RawURLEncoding.DecodeString(good[len(input)+1:])))
	zero := strings.Repeat("\x00", 32)
	der := must(ecdsa.SignASN1(rand.Reader, p256Key(), []byte("digest")))
	for name, sig := range map[string]string{
		"zeros": zero + zero, "r zero": zero + sig[32:], "s zero": sig[:32] + zero, "r = n": half(n) + sig[32:], "s = n": sig[:32] + half(n),
		"short": sig[:63], "long": sig + "\x00", "leading zero": "\x00" + sig, "one byte": "\x01", "ASN.1": string(der),
	} {
		if verdict(t, input+"."+encode(sig), &p256Key().PublicKey) {
			t.Errorf("%s: accepted", name)
		}
	}
	// SECURITY J29: (r, n-s) is as good as (r, s). Nothing may be known by its token's bytes.
	s := new(big.Int).SetBytes([]byte(sig[32:]))
	if !verdict(t, input+"."+encode(sig[:32]+half(s.Sub(n, s))), &p256Key().PublicKey) {
		t.Error("(r, n-s) refused")
	}
	for _, length := range []int{1, 255, 257, 512} {
		raw := sign(t, rsaKey(), "", claims)
		input, _, _ := cutLast(raw)
		if verdict(t, input+"."+encode(strings.Repeat("\x01", length)), &rsaKey().PublicKey) {
			t.Errorf("RSA signature of %d bytes accepted", length)
		}
	}
}

func cutLast(raw string) (before, after string, ok bool) {
	i := strings.LastIndexByte(raw, '.')
	return raw[:i], raw[i+1:], true
}

// SECURITY J09: every bit of a token counts.
func TestVerifyFlippedBits(t *testing.T) {
	step := 8 // one bit of each byte
	if os.Getenv("SERVICEACCOUNT_LONG") != "" {
		step = 1
	}
	for alg, key := range privateKeys {
		raw := sign(t, key(), "k", `{"iss":"i","sub":"s"}`)
		public := key().Public()
		for i := range raw {
			for bit := range 8 {
				if (i+bit)%step != 0 {
					continue
				}
				mutant := []byte(raw)
				mutant[i] ^= 1 << bit
				if verdict(t, string(mutant), public) {
					t.Errorf("%s: accepted with bit %d of byte %d flipped", alg, bit, i)
				}
			}
		}
	}
}

// SECURITY J27, J28: on ten thousand mutations from a fixed seed, go-jose
// says what we say.
func TestVerifyMutations(t *testing.T) {
	const n = 10_000
	random := mrand.New(mrand.NewPCG(1, 2))
	raw := compact(`{"alg":"ES256","kid":"k"}`, claims)
	other := compact(`{"alg":"ES256"}`, `{"iss":"other"}`)
	accepted := 0
	for range n {
		mutant := []byte(raw)
		for range 1 + random.IntN(3) {
			mutant = mutate(random, mutant, other)
		}
		if verdict(t, string(mutant), &p256Key().PublicKey) {
			accepted++
			if string(mutant) != raw && string(mutant) != other {
				t.Errorf("accepted a mutant: %s", mutant)
			}
		}
	}
	t.Logf("%d of %d were the token itself", accepted, n)
}

func mutate(random *mrand.Rand, b []byte, other string) []byte {
	const letters = "ABCXYZabcxyz0189-_.=+/ {\"\n"
	if len(b) == 0 {
		return []byte(other)
	}
	i, j := random.IntN(len(b)), random.IntN(len(b))
	if i > j {
		i, j = j, i
	}
	switch random.IntN(6) {
	case 0:
		b[i] = letters[random.IntN(len(letters))]
	case 1:
		b = append(b[:i:i], b[j:]...)
	case 2:
		b = append(b[:j:j], b[i:]...)
	case 3:
		b[i], b[j] = b[j], b[i]
	case 4:
		parts, others := strings.Split(string(b), "."), strings.Split(other, ".")
		k := random.IntN(len(parts))
		parts[k] = others[random.IntN(len(others))]
		b = []byte(strings.Join(parts, "."))
	case 5:
		b[i] ^= 1 << random.IntN(8)
	}
	return b
}
