package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
)

// The keys of the tests are made once: RSA keys take their time.
var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p256Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	p224Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)) })
	edKey   = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func block(blockType string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func pkcs8(key any) string { return block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }
func pkix8(key any) string { return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key))) }
func sec1(key *ecdsa.PrivateKey) string {
	return block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
}
func pkcs1(key *rsa.PrivateKey) string {
	return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func certificate(key crypto.Signer) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0), // long expired, which doesn't matter
	}
	return block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

const ecParameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

// KEY-1, KEY-2, KEY-5, KEY-10 (deviation), SECURITY K09: the first block that
// is a private key by its type.
func TestParsePrivateKey(t *testing.T) {
	encrypted := strings.Replace(pkcs1(rsaKey()), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	tests := []struct {
		name, data string
		want       crypto.Signer
		err        error
		fault      keys.Fault
	}{
		{name: "RSA PKCS#1", data: pkcs1(rsaKey()), want: rsaKey()},
		{name: "RSA PKCS#8", data: pkcs8(rsaKey()), want: rsaKey()},
		{name: "EC SEC1", data: sec1(p256Key()), want: p256Key()},
		{name: "EC with parameters", data: ecParameters + sec1(p256Key()), want: p256Key()},
		{name: "EC PKCS#8", data: pkcs8(p384Key()), want: p384Key()},
		{name: "P-521", data: sec1(p521Key()), want: p521Key()},
		{name: "Ed25519 PKCS#8", data: pkcs8(edKey()), want: edKey()},
		{name: "first of two", data: sec1(p256Key()) + pkcs1(rsaKey()), want: p256Key()},
		{name: "after a public key", data: pkix8(rsaKey().Public()) + sec1(p256Key()), want: p256Key()},
		{name: "after one that doesn't parse", data: block("RSA PRIVATE KEY", []byte("x")) + sec1(p256Key()), want: p256Key()},
		{name: "CRLF", data: strings.ReplaceAll(pkcs1(rsaKey()), "\n", "\r\n"), want: rsaKey()},
		{name: "text around", data: "issued by me\n" + sec1(p256Key()) + "\nthe end\n", want: p256Key()},
		{name: "headers", data: strings.Replace(pkcs1(rsaKey()), "-----\n", "-----\nComment: mine\n\n", 1), want: rsaKey()},

		{name: "empty", data: "", err: keys.ErrNoPrivateKey},
		{name: "no PEM", data: "key", err: keys.ErrNoPrivateKey},
		{name: "public key only", data: pkix8(rsaKey().Public()), err: keys.ErrNoPrivateKey},
		{name: "certificate only", data: certificate(p256Key()), err: keys.ErrNoPrivateKey},
		{name: "wrong type for the form", data: block("EC PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), err: keys.ErrNoPrivateKey},
		{name: "unknown type", data: block("KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), err: keys.ErrNoPrivateKey},
		{name: "encrypted PKCS#8", data: block("ENCRYPTED PRIVATE KEY", []byte("x")), err: keys.ErrNoPrivateKey},
		{name: "encrypted body", data: strings.Replace(encrypted, "MII", "AAA", 1), err: keys.ErrNoPrivateKey},
		{name: "trailing bytes in PKCS#8", data: block("PRIVATE KEY", append(must(x509.MarshalPKCS8PrivateKey(p256Key())), 0)), want: p256Key()},
		{name: "trailing bytes in DER", data: block("EC PRIVATE KEY", append(must(x509.MarshalECPrivateKey(p256Key())), 0)), want: p256Key()},
		{name: "cut short", data: sec1(p256Key())[:80], err: keys.ErrNoPrivateKey},
		{name: "RSA of 1024 bits", data: pkcs8(weakKey()), fault: keys.FaultSize},
		{name: "P-224", data: sec1(p224Key()), fault: keys.FaultCurve},
		{name: "1 MiB and a byte", data: sec1(p256Key()) + strings.Repeat("\n", 1<<20), err: keys.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := keys.ParsePrivateKey([]byte(tt.data))
			e, _ := errors.AsType[*keys.KeyError](err)
			if tt.fault == "" && !errors.Is(err, tt.err) || (e != nil) != (tt.fault != "") || e != nil && e.Fault != tt.fault {
				t.Fatalf("ParsePrivateKey() = %v, want %v or fault %q", err, tt.err, tt.fault)
			}
			if tt.want == nil {
				return
			}
			if k, ok := got.(interface{ Equal(crypto.PrivateKey) bool }); !ok || !k.Equal(tt.want) {
				t.Errorf("ParsePrivateKey() is not the key, but a %T", got)
			}
		})
	}
	if got, want := keys.ErrNoPrivateKey.Error(), "data does not contain a valid RSA or ECDSA private key"; !strings.Contains(got, want) {
		t.Errorf("ErrNoPrivateKey = %q, want %q", got, want)
	}
}

// KEY-3, KEY-4 (deviation), KEY-5, KEY-10 (deviation), SECURITY K09: every
// block that has an RSA or ECDSA public key in any form.
func TestParsePublicKeys(t *testing.T) {
	rsaPub, p256Pub := rsaKey().Public(), p256Key().Public()
	many := func(n int) string { return strings.Repeat(pkix8(p256Pub), n) }
	tests := []struct {
		name, data string
		want       []crypto.PublicKey
		err        error
		fault      keys.Fault
	}{
		{name: "RSA PKIX", data: pkix8(rsaPub), want: []crypto.PublicKey{rsaPub}},
		{name: "EC PKIX", data: pkix8(p256Pub), want: []crypto.PublicKey{p256Pub}},
		{name: "two in one file", data: pkix8(rsaPub) + pkix8(p256Pub), want: []crypto.PublicKey{rsaPub, p256Pub}},
		{name: "order and duplicates", data: pkix8(p256Pub) + pkix8(rsaPub) + pkix8(p256Pub), want: []crypto.PublicKey{p256Pub, rsaPub, p256Pub}},
		{name: "RSA certificate", data: certificate(rsaKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "EC certificate", data: certificate(p256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "RSA private PKCS#1", data: pkcs1(rsaKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "RSA private PKCS#8", data: pkcs8(rsaKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "EC private SEC1", data: sec1(p256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "EC private PKCS#8", data: pkcs8(p256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "RSA PKCS#1", data: block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), want: []crypto.PublicKey{rsaPub}},
		{name: "type ignored", data: block("ANYTHING", must(x509.MarshalPKIXPublicKey(p256Pub))), want: []crypto.PublicKey{p256Pub}},
		{name: "unusable ones skipped", data: "text\n" + ecParameters + block("PUBLIC KEY", []byte("x")) + pkix8(edKey().Public()) + pkix8(p256Pub), want: []crypto.PublicKey{p256Pub}},
		{name: "CRLF", data: strings.ReplaceAll(pkix8(rsaPub), "\n", "\r\n"), want: []crypto.PublicKey{rsaPub}},
		{name: "private and public", data: pkcs8(p384Key()) + certificate(p521Key()), want: []crypto.PublicKey{p384Key().Public(), p521Key().Public()}},

		{name: "empty", data: "", err: keys.ErrNoPublicKeys},
		{name: "no PEM", data: "key", err: keys.ErrNoPublicKeys},
		{name: "Ed25519 only", data: pkix8(edKey().Public()) + pkcs8(edKey()), err: keys.ErrNoPublicKeys},
		{name: "encrypted", data: block("ENCRYPTED PRIVATE KEY", []byte("x")), err: keys.ErrNoPublicKeys},
		{name: "trailing bytes in DER", data: block("PUBLIC KEY", append(must(x509.MarshalPKIXPublicKey(rsaPub)), 0)), err: keys.ErrNoPublicKeys},
		{name: "RSA of 1024 bits", data: pkix8(p256Pub) + pkix8(weakKey().Public()), fault: keys.FaultSize},
		{name: "P-224", data: pkix8(p224Key().Public()), fault: keys.FaultCurve},
		{name: "1 MiB and a byte", data: pkix8(p256Pub) + strings.Repeat("\n", 1<<20), err: keys.ErrTooLarge},
		{name: "65 keys", data: many(65), err: keys.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := keys.ParsePublicKeys([]byte(tt.data))
			e, _ := errors.AsType[*keys.KeyError](err)
			if tt.fault == "" && !errors.Is(err, tt.err) || (e != nil) != (tt.fault != "") || e != nil && e.Fault != tt.fault {
				t.Fatalf("ParsePublicKeys() = %v, want %v or fault %q", err, tt.err, tt.fault)
			}
			if diff := cmp.Diff(texts(tt.want), texts(got)); diff != "" {
				t.Errorf("ParsePublicKeys() (-want +got):\n%s", diff)
			}
		})
	}
	if got := len(must(keys.ParsePublicKeys([]byte(many(64))))); got != 64 {
		t.Errorf("%d keys of 64", got)
	}
	if got, want := keys.ErrNoPublicKeys.Error(), "data does not contain any valid RSA or ECDSA public keys"; !strings.Contains(got, want) {
		t.Errorf("ErrNoPublicKeys = %q, want %q", got, want)
	}
	_, err := keys.ParsePublicKeys([]byte(pkix8(p256Pub) + pkix8(weakKey().Public())))
	if want := "keys: PEM block 2: unusable key: RSA modulus of 1024 bits, want 2048 to 8192"; err == nil || err.Error() != want {
		t.Errorf("ParsePublicKeys() = %v, want %s", err, want)
	}
}

// SECURITY K09: a file costs time in proportion to its length. Private keys are
// checked before their size is known, so that one which fills the file would
// take minutes.
func TestParsePEMHostile(t *testing.T) {
	prime := new(big.Int).Lsh(big.NewInt(1), 1<<18)
	prime.Add(prime, big.NewInt(1))
	less := func(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(2)) }
	p, q := prime, new(big.Int).Add(prime, big.NewInt(2))
	n := new(big.Int).Mul(p, q)
	der := must(asn1.Marshal(struct {
		Version             int
		N                   *big.Int
		E                   int
		D, P, Q, DP, DQ, QI *big.Int
	}{0, n, 65537, less(n), p, q, less(p), less(q), less(p)}))
	start := time.Now()
	for name, data := range map[string]string{
		"one private key that fills the file": block("RSA PRIVATE KEY", der),
		"beginnings":                          strings.Repeat("-----BEGIN A-----\n", 1<<20/18),
		"beginnings of headers":               strings.Repeat("-----BEGIN A-----\nx:", 1<<20/20),
		"wrong endings":                       strings.Repeat("-----BEGIN A-----\n-----END B-----\n", 1<<20/34),
		"empty blocks":                        strings.Repeat("-----BEGIN A-----\n-----END A-----\n", 1<<20/34),
	} {
		if _, err := keys.ParsePrivateKey([]byte(data)); !errors.Is(err, keys.ErrNoPrivateKey) {
			t.Errorf("%s: ParsePrivateKey() = %v, want ErrNoPrivateKey", name, err)
		}
		if _, err := keys.ParsePublicKeys([]byte(data)); !errors.Is(err, keys.ErrNoPublicKeys) {
			t.Errorf("%s: ParsePublicKeys() = %v, want ErrNoPublicKeys", name, err)
		}
	}
	if d := time.Since(start); d > 8*time.Second {
		t.Errorf("parsing took %s, want well under a second", d)
	}
}

func texts(list []crypto.PublicKey) (out []string) {
	for _, key := range list {
		out = append(out, pkix8(key))
	}
	return out
}

func equalKeys(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// KEY-1, KEY-3: the texts of the file wrappers.
func TestReadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	private, empty := write("sa.key", sec1(p256Key())), write("empty", "")
	public, certs := write("sa.pub", pkix8(rsaKey().Public())+pkix8(p256Key().Public())), write("cert", certificate(p384Key()))
	large := write("large", strings.Repeat("\n", 1<<20+1))

	if key, err := keys.ReadPrivateKeyFile(private); err != nil || !p256Key().Equal(key) {
		t.Errorf("ReadPrivateKeyFile() = %v", err)
	}
	list, err := keys.ReadPublicKeyFiles(public, certs, private)
	want := []crypto.PublicKey{rsaKey().Public(), p256Key().Public(), p384Key().Public(), p256Key().Public()}
	if diff := cmp.Diff(texts(want), texts(list)); err != nil || diff != "" {
		t.Errorf("ReadPublicKeyFiles() = %v (-want +got):\n%s", err, diff)
	}

	for _, tt := range []struct{ name, private, public string }{
		{empty, "data does not contain a valid RSA or ECDSA private key", "data does not contain any valid RSA or ECDSA public keys"},
		{large, "data is larger than 1 MiB or has more than 64 keys", "data is larger than 1 MiB or has more than 64 keys"},
		{filepath.Join(dir, "none"), "open " + dir + "/none: no such file or directory", "open " + dir + "/none: no such file or directory"},
	} {
		_, err := keys.ReadPrivateKeyFile(tt.name)
		if want := "keys: error reading private key file " + tt.name + ": " + tt.private; err == nil || err.Error() != want {
			t.Errorf("ReadPrivateKeyFile() = %v, want %s", err, want)
		}
		_, err = keys.ReadPublicKeyFiles(public, tt.name)
		if want := "keys: error reading public key file " + tt.name + ": " + tt.public; err == nil || err.Error() != want {
			t.Errorf("ReadPublicKeyFiles() = %v, want %s", err, want)
		}
	}
	if _, err := keys.ReadPrivateKeyFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadPrivateKeyFile(none) = %v, want os.ErrNotExist", err)
	}
}

func TestEncodeKeys(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), p256Key(), p384Key(), p521Key()} {
		private := must(keys.EncodePrivateKey(key))
		if !bytes.HasPrefix(private, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Errorf("EncodePrivateKey() is no PKCS#8 block")
		}
		if got := must(keys.ParsePrivateKey(private)); !equalKeys(key.Public(), got.Public()) {
			t.Errorf("%T: another key comes back", key)
		}
		public := must(keys.EncodePublicKey(key.Public()))
		if !bytes.HasPrefix(public, []byte("-----BEGIN PUBLIC KEY-----\n")) {
			t.Errorf("EncodePublicKey() is no PKIX block")
		}
		if got := must(keys.ParsePublicKeys(public)); len(got) != 1 || !equalKeys(key.Public(), got[0]) {
			t.Errorf("%T: another public key comes back", key)
		}
	}
	for name, key := range map[string]crypto.Signer{
		"nil": nil, "typed nil": (*rsa.PrivateKey)(nil), "Ed25519": edKey(), "weak": weakKey(), "P-224": p224Key(),
		"elsewhere": struct{ crypto.Signer }{p256Key()}, "no number": &ecdsa.PrivateKey{PublicKey: p256Key().PublicKey}, "no primes": &rsa.PrivateKey{PublicKey: rsaKey().PublicKey},
	} {
		if _, err := keys.EncodePrivateKey(key); !isKeyError(err) {
			t.Errorf("%s: EncodePrivateKey() = %v, want a KeyError", name, err)
		}
	}
	for name, key := range map[string]crypto.PublicKey{"nil": nil, "typed nil": (*rsa.PublicKey)(nil), "private": p256Key(), "weak": weakKey().Public(), "string": "x"} {
		if _, err := keys.EncodePublicKey(key); !isKeyError(err) {
			t.Errorf("%s: EncodePublicKey() = %v, want a KeyError", name, err)
		}
	}
}

func isKeyError(err error) bool {
	_, ok := errors.AsType[*keys.KeyError](err)
	return ok
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte(pkcs8(p256Key()) + pkix8(p384Key().Public()) + certificate(p256Key()) + ecParameters))
	f.Add([]byte(sec1(p521Key())))
	f.Add([]byte(pkcs1(rsaKey())))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := keys.ParsePrivateKey(data); (key == nil) != (err != nil) {
			t.Errorf("ParsePrivateKey() = %T, %v", key, err)
		}
		list, err := keys.ParsePublicKeys(data)
		if (len(list) == 0) != (err != nil) {
			t.Errorf("ParsePublicKeys() = %d keys, %v", len(list), err)
		}
		for _, key := range list {
			if _, err := keys.ID(key); err != nil {
				t.Errorf("ID() of a parsed key = %v", err)
			}
		}
	})
}
