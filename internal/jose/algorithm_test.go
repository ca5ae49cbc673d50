//lint:file-ignore SA1019 broken keys can only be made by hand

package jose_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/kubesa/serviceaccount/internal/jose"
)

// fakeCurve calls itself P-256.
type fakeCurve struct{ elliptic.Curve }

// modulus returns an odd number of the given length.
func modulus(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(0x10001*2+1))
}

// rocaModulus returns a number with the mark: a power of 65537 modulo the
// product of the primes up to 167.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(123456789), m)
	k := new(big.Int).Div(modulus(2048), m)
	return n.Add(n, k.Mul(k.Or(k, big.NewInt(1)).Add(k, big.NewInt(1)), m))
}

// KEY-10, KEY-12, SECURITY K01, K02, K04, J03: which keys are used, and the
// fault of each that isn't.
func TestAlgorithmOf(t *testing.T) {
	good := rsaKey().PublicKey
	point := p256Key().PublicKey
	tests := []struct {
		name       string
		key        any
		alg, fault string
	}{
		{"RSA", &good, "RS256", ""},
		{"2048 bits", &rsa.PublicKey{N: modulus(2048), E: 65537}, "RS256", ""},
		{"8192 bits", &rsa.PublicKey{N: modulus(8192), E: 65537}, "RS256", ""},
		{"e = 3", &rsa.PublicKey{N: good.N, E: 3}, "RS256", ""},
		{"e = 2^31-1", &rsa.PublicKey{N: good.N, E: 1<<31 - 1}, "RS256", ""},
		{"P-256", &point, "ES256", ""},
		{"P-384", &p384Key().PublicKey, "ES384", ""},
		{"P-521", &p521Key().PublicKey, "ES512", ""},

		{"2047 bits", &rsa.PublicKey{N: modulus(2047), E: 65537}, "", jose.FaultSize},
		{"1024 bits", &rsa.PublicKey{N: modulus(1024), E: 65537}, "", jose.FaultSize},
		{"8193 bits", &rsa.PublicKey{N: modulus(8193), E: 65537}, "", jose.FaultSize},
		{"65536 bits", &rsa.PublicKey{N: modulus(65536), E: 65537}, "", jose.FaultSize},
		{"N = 0", &rsa.PublicKey{N: new(big.Int), E: 65537}, "", jose.FaultMissing},
		{"N even", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, "", jose.FaultModulus},
		{"N negative", &rsa.PublicKey{N: new(big.Int).Neg(good.N), E: 65537}, "", jose.FaultModulus},
		{"ROCA", &rsa.PublicKey{N: rocaModulus(), E: 65537}, "", jose.FaultROCA},
		{"e = 0", &rsa.PublicKey{N: good.N}, "", jose.FaultExponent},
		{"e = 1", &rsa.PublicKey{N: good.N, E: 1}, "", jose.FaultExponent},
		{"e = 2", &rsa.PublicKey{N: good.N, E: 2}, "", jose.FaultExponent},
		{"e even", &rsa.PublicKey{N: good.N, E: 65536}, "", jose.FaultExponent},
		{"e negative", &rsa.PublicKey{N: good.N, E: -65537}, "", jose.FaultExponent},
		{"e = 2^31+1", &rsa.PublicKey{N: good.N, E: 1<<31 + 1}, "", jose.FaultExponent},
		{"no N", &rsa.PublicKey{E: 65537}, "", jose.FaultMissing},

		{"off the curve", &ecdsa.PublicKey{Curve: elliptic.P256(), X: point.X, Y: new(big.Int).Add(point.Y, big.NewInt(1))}, "", jose.FaultPoint},
		{"another curve's point", &ecdsa.PublicKey{Curve: elliptic.P384(), X: point.X, Y: point.Y}, "", jose.FaultPoint},
		{"infinity", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}, "", jose.FaultPoint},
		{"negative coordinate", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).Neg(point.X), Y: point.Y}, "", jose.FaultPoint},
		{"coordinate too long", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).Lsh(point.X, 300), Y: point.Y}, "", jose.FaultPoint},
		{"P-224", &ecdsa.PublicKey{Curve: elliptic.P224(), X: point.X, Y: point.Y}, "", jose.FaultCurve},
		{"false P-256", &ecdsa.PublicKey{Curve: fakeCurve{elliptic.P256()}, X: point.X, Y: point.Y}, "", jose.FaultCurve},
		{"no curve", &ecdsa.PublicKey{X: point.X, Y: point.Y}, "", jose.FaultMissing},
		{"no X", &ecdsa.PublicKey{Curve: elliptic.P256(), Y: point.Y}, "", jose.FaultMissing},
		{"no Y", &ecdsa.PublicKey{Curve: elliptic.P256(), X: point.X}, "", jose.FaultMissing},
		{"no point", &ecdsa.PublicKey{Curve: elliptic.P256()}, "", jose.FaultMissing},

		{"nil", nil, "", jose.FaultMissing},
		{"nil RSA", (*rsa.PublicKey)(nil), "", jose.FaultMissing},
		{"nil ECDSA", (*ecdsa.PublicKey)(nil), "", jose.FaultMissing},
		{"value", point, "", jose.FaultType},
		{"private", p256Key(), "", jose.FaultType},
		{"Ed25519", make(ed25519.PublicKey, 32), "", jose.FaultType}, // SECURITY K03: not offered
		{"bytes", []byte("secret"), "", jose.FaultType},
		{"string", "secret", "", jose.FaultType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alg, err := jose.AlgorithmOf(tt.key)
			fault := ""
			if e, ok := errors.AsType[*jose.KeyError](err); ok {
				fault = e.Fault
			}
			if alg != tt.alg || fault != tt.fault {
				t.Errorf("AlgorithmOf() = %q, %v; want %q and fault %q", alg, err, tt.alg, tt.fault)
			}
		})
	}
}

// SECURITY K02: the mark is one only if it is there modulo each of the primes.
func TestAlgorithmOfROCAPrimes(t *testing.T) {
	primes := []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}
	for _, without := range primes {
		// n is 1, a power of everything, modulo the other primes and the neighbours of
		// this one, which divides it.
		p, others := big.NewInt(without), big.NewInt(without*without-1)
		for _, prime := range primes {
			if prime != without && without*without%prime != 1 {
				others.Mul(others, big.NewInt(prime))
			}
		}
		n := new(big.Int).ModInverse(others, p)
		n.Mul(n.Sub(p, n), others).Add(n, big.NewInt(1)) // 1 - others/others modulo p
		period := new(big.Int).Mul(others, p)
		n.Add(n, period.Mul(period, new(big.Int).Div(modulus(2050), period)))
		if alg, err := jose.AlgorithmOf(&rsa.PublicKey{N: n, E: 65537}); err != nil || alg != "RS256" {
			t.Errorf("without a mark modulo %d: AlgorithmOf() = %q, %v", without, alg, err)
		}
	}
}
