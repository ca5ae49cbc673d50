package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// Each operation stands beside the signature that it can't do without.

func BenchmarkAuthenticate(b *testing.B) {
	for _, key := range []crypto.Signer{ecKey, rsaKey} {
		alg := string(must(keys.AlgorithmOf(key.Public())))
		digest := sha256.Sum256([]byte("digest"))
		signature := must(key.Sign(rand.Reader, digest[:], crypto.SHA256))
		b.Run(alg+"/raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verifies(key.Public(), digest[:], signature) {
					b.Fatal("does not verify")
				}
			}
		})
		b.Run(alg+"/New", func(b *testing.B) {
			a := tokentest.NewAuthenticator(b, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.DisableSignatureCache = true })
			token := tokentest.Mint(b, key, tokentest.BoundClaims())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		// With the cache, which learns a token each time.
		b.Run(alg+"/NewToCache", func(b *testing.B) {
			a := tokentest.NewAuthenticator(b, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = 8 << 10 })
			var fresh []string // more than there is room for
			for i := range 32 {
				c := tokentest.BoundClaims()
				c["jti"] = fmt.Sprint("id-", i)
				fresh = append(fresh, tokentest.Mint(b, key, c))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := a.Authenticate(b.Context(), fresh[i%len(fresh)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Seen", func(b *testing.B) {
		a := tokentest.NewAuthenticator(b, tokentest.NewWorld(), nil)
		token := tokentest.Mint(b, ecKey, tokentest.BoundClaims())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Seen/parallel", func(b *testing.B) {
		a := tokentest.NewAuthenticator(b, tokentest.NewWorld(), nil)
		token := tokentest.Mint(b, ecKey, tokentest.BoundClaims())
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := a.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("Foreign", func(b *testing.B) {
		a := tokentest.NewAuthenticator(b, tokentest.NewWorld(), nil)
		claims := tokentest.BoundClaims()
		claims["iss"] = "https://elsewhere"
		token := tokentest.Mint(b, ecKey, claims)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate(b.Context(), token); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

func verifies(key crypto.PublicKey, digest, signature []byte) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	}
	return false
}
