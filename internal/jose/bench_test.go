package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// claims are those of a bound token, of the usual size.
const claims = `{"aud":["https://kubernetes.default.svc.cluster.local"],"exp":1767229207,"iat":1735693207,"iss":"https://kubernetes.default.svc.cluster.local","jti":"0a4b2d1e-3f0b-4c9c-9a34-1d6f3f5f0c11","kubernetes.io":{"namespace":"default","node":{"name":"node-1","uid":"4bff7c8e-8a6f-4b4e-9a84-b2f7b83a6c0d"},"pod":{"name":"web-7d4b9c6f5-x2x9k","uid":"7a1c9d7e-7b0e-4a3d-8a3f-52b8c6a1f0de"},"serviceaccount":{"name":"web","uid":"f3e9f0a2-5f0e-4a52-8f7c-0c0a7c2d8e11"},"warnafter":1735696814},"nbf":1735693207,"sub":"system:serviceaccount:default:web"}`

func BenchmarkVerify(b *testing.B) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	digest := sha256.Sum256([]byte(claims))
	rsaSig := must(rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest[:]))
	ecSig := must(ecdsa.SignASN1(rand.Reader, ecKey, digest[:]))

	b.Run("RS256/raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], rsaSig); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RS256/Parse+Verify", func(b *testing.B) { benchmarkVerify(b, rsaKey) })
	b.Run("ES256/raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(&ecKey.PublicKey, digest[:], ecSig) {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("ES256/Parse+Verify", func(b *testing.B) { benchmarkVerify(b, ecKey) })
	b.Run("Parse", func(b *testing.B) {
		raw := sign(b, ecKey, "", claims)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jose.Parse(raw, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkVerify(b *testing.B, key crypto.Signer) {
	raw := sign(b, key, "JHJehTTTZlsspKHT-GaJxK7Kd1NQgZJu3fyK6K_QDYU", claims)
	b.ReportAllocs()
	for b.Loop() {
		token, err := jose.Parse(raw, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := token.Verify(key.Public()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	digest := sha256.Sum256([]byte(claims))
	b.Run("RS256/raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RS256/Sign", func(b *testing.B) { benchmarkSign(b, rsaKey) })
	b.Run("ES256/raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, ecKey, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ES256/Sign", func(b *testing.B) { benchmarkSign(b, ecKey) })
}

func benchmarkSign(b *testing.B, key crypto.Signer) {
	signer := must(jose.NewSigner(key, "JHJehTTTZlsspKHT-GaJxK7Kd1NQgZJu3fyK6K_QDYU"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Sign(b.Context(), []byte(claims)); err != nil {
			b.Fatal(err)
		}
	}
}

func sign(tb testing.TB, key crypto.Signer, id, payload string) string {
	tb.Helper()
	signer, err := jose.NewSigner(key, id)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := signer.Sign(tb.Context(), []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
