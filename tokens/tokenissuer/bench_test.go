package tokenissuer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

func BenchmarkIssue(b *testing.B) {
	for _, key := range []crypto.Signer{ecKey, rsaKey} {
		alg := string(must(keys.AlgorithmOf(key.Public())))
		digest := sha256.Sum256([]byte("digest"))
		b.Run(alg+"/raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/Issue", func(b *testing.B) {
			w := tokentest.NewWorld()
			issuer := tokentest.NewIssuer(b, func(cfg *tokenissuer.Config) { cfg.Signer = must(keys.NewSigner(key)) })
			req := tokenissuer.Request{ServiceAccount: w.Accounts["ci/builder"], Audiences: []string{api}, Pod: w.Pods["ci/job"], Node: w.Nodes["worker"]}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := issuer.Issue(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
