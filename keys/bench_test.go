package keys_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// What LocalSigner adds to a bare signature.
func BenchmarkSign(b *testing.B) {
	payload := []byte(`{"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:default:default"}`)
	digest := sha256.Sum256(payload)
	for _, key := range []crypto.Signer{keystest.RSAKey(), keystest.P256Key()} {
		signer := keystest.Must(keys.NewSigner(key))
		alg := string(signer.PublicKey().Algorithm)
		b.Run(alg+"/raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/LocalSigner", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(b.Context(), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
