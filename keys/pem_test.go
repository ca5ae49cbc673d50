package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

func certificate(key crypto.Signer) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0), // long expired, which doesn't matter
	}
	return keystest.Block("CERTIFICATE", keystest.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

const ecParameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

// KEY-1, KEY-2, KEY-5, KEY-10 (deviation), SECURITY K09: the first block that
// is a private key by its type.
func TestParsePrivateKey(t *testing.T) {
	encrypted := strings.Replace(keystest.PKCS1(keystest.RSAKey()), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1)
	tests := []struct {
		name, data string
		want       crypto.Signer
		err        error
		fault      keys.Reason
	}{
		{name: "RSA PKCS#1", data: keystest.PKCS1(keystest.RSAKey()), want: keystest.RSAKey()},
		{name: "RSA PKCS#8", data: keystest.PKCS8(keystest.RSAKey()), want: keystest.RSAKey()},
		{name: "EC SEC1", data: keystest.SEC1(keystest.P256Key()), want: keystest.P256Key()},
		{name: "EC with parameters", data: ecParameters + keystest.SEC1(keystest.P256Key()), want: keystest.P256Key()},
		{name: "EC PKCS#8", data: keystest.PKCS8(keystest.P384Key()), want: keystest.P384Key()},
		{name: "P-521", data: keystest.SEC1(keystest.P521Key()), want: keystest.P521Key()},
		{name: "Ed25519 PKCS#8", data: keystest.PKCS8(keystest.EdKey()), want: keystest.EdKey()},
		{name: "first of two", data: keystest.SEC1(keystest.P256Key()) + keystest.PKCS1(keystest.RSAKey()), want: keystest.P256Key()},
		{name: "after a public key", data: keystest.PKIX(keystest.RSAKey().Public()) + keystest.SEC1(keystest.P256Key()), want: keystest.P256Key()},
		{name: "after one that doesn't parse", data: keystest.Block("RSA PRIVATE KEY", []byte("x")) + keystest.SEC1(keystest.P256Key()), want: keystest.P256Key()},
		{name: "CRLF", data: strings.ReplaceAll(keystest.PKCS1(keystest.RSAKey()), "\n", "\r\n"), want: keystest.RSAKey()},
		{name: "text around", data: "issued by me\n" + keystest.SEC1(keystest.P256Key()) + "\nthe end\n", want: keystest.P256Key()},
		{name: "headers", data: strings.Replace(keystest.PKCS1(keystest.RSAKey()), "-----\n", "-----\nComment: mine\n\n", 1), want: keystest.RSAKey()},

		{name: "empty", data: "", err: keys.ErrNoPrivateKey},
		{name: "no PEM", data: "key", err: keys.ErrNoPrivateKey},
		{name: "public key only", data: keystest.PKIX(keystest.RSAKey().Public()), err: keys.ErrNoPrivateKey},
		{name: "certificate only", data: certificate(keystest.P256Key()), err: keys.ErrNoPrivateKey},
		{name: "wrong type for the form", data: keystest.Block("EC PRIVATE KEY", x509.MarshalPKCS1PrivateKey(keystest.RSAKey())), err: keys.ErrNoPrivateKey},
		{name: "unknown type", data: keystest.Block("KEY", x509.MarshalPKCS1PrivateKey(keystest.RSAKey())), err: keys.ErrNoPrivateKey},
		{name: "encrypted PKCS#8", data: keystest.Block("ENCRYPTED PRIVATE KEY", []byte("x")), err: keys.ErrNoPrivateKey},
		{name: "encrypted body", data: strings.Replace(encrypted, "MII", "AAA", 1), err: keys.ErrNoPrivateKey},
		{name: "trailing bytes in PKCS#8", data: keystest.Block("PRIVATE KEY", append(keystest.Must(x509.MarshalPKCS8PrivateKey(keystest.P256Key())), 0)), want: keystest.P256Key()},
		{name: "trailing bytes in DER", data: keystest.Block("EC PRIVATE KEY", append(keystest.Must(x509.MarshalECPrivateKey(keystest.P256Key())), 0)), want: keystest.P256Key()},
		{name: "cut short", data: keystest.SEC1(keystest.P256Key())[:80], err: keys.ErrNoPrivateKey},
		{name: "RSA of 1024 bits", data: keystest.PKCS8(keystest.WeakKey()), fault: keys.ReasonSize},
		{name: "P-224", data: keystest.SEC1(keystest.P224Key()), fault: keys.ReasonCurve},
		{name: "1 MiB and a byte", data: keystest.SEC1(keystest.P256Key()) + strings.Repeat("\n", 1<<20), err: keys.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := keys.ParsePrivateKey([]byte(tt.data))
			e, _ := errors.AsType[*keys.KeyError](err)
			if tt.fault == "" && !errors.Is(err, tt.err) || (e != nil) != (tt.fault != "") || e != nil && e.Reason != tt.fault {
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
	rsaPub, p256Pub := keystest.RSAKey().Public(), keystest.P256Key().Public()
	many := func(n int) string { return strings.Repeat(keystest.PKIX(p256Pub), n) }
	tests := []struct {
		name, data string
		want       []crypto.PublicKey
		err        error
		fault      keys.Reason
	}{
		{name: "RSA PKIX", data: keystest.PKIX(rsaPub), want: []crypto.PublicKey{rsaPub}},
		{name: "EC PKIX", data: keystest.PKIX(p256Pub), want: []crypto.PublicKey{p256Pub}},
		{name: "two in one file", data: keystest.PKIX(rsaPub) + keystest.PKIX(p256Pub), want: []crypto.PublicKey{rsaPub, p256Pub}},
		{name: "order and duplicates", data: keystest.PKIX(p256Pub) + keystest.PKIX(rsaPub) + keystest.PKIX(p256Pub), want: []crypto.PublicKey{p256Pub, rsaPub, p256Pub}},
		{name: "RSA certificate", data: certificate(keystest.RSAKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "EC certificate", data: certificate(keystest.P256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "RSA private PKCS#1", data: keystest.PKCS1(keystest.RSAKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "RSA private PKCS#8", data: keystest.PKCS8(keystest.RSAKey()), want: []crypto.PublicKey{rsaPub}},
		{name: "EC private SEC1", data: keystest.SEC1(keystest.P256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "EC private PKCS#8", data: keystest.PKCS8(keystest.P256Key()), want: []crypto.PublicKey{p256Pub}},
		{name: "RSA PKCS#1", data: keystest.Block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&keystest.RSAKey().PublicKey)), want: []crypto.PublicKey{rsaPub}},
		{name: "type ignored", data: keystest.Block("ANYTHING", keystest.Must(x509.MarshalPKIXPublicKey(p256Pub))), want: []crypto.PublicKey{p256Pub}},
		{name: "unusable ones skipped", data: "text\n" + ecParameters + keystest.Block("PUBLIC KEY", []byte("x")) + keystest.PKIX(keystest.EdKey().Public()) + keystest.PKIX(p256Pub), want: []crypto.PublicKey{p256Pub}},
		{name: "CRLF", data: strings.ReplaceAll(keystest.PKIX(rsaPub), "\n", "\r\n"), want: []crypto.PublicKey{rsaPub}},
		{name: "private and public", data: keystest.PKCS8(keystest.P384Key()) + certificate(keystest.P521Key()), want: []crypto.PublicKey{keystest.P384Key().Public(), keystest.P521Key().Public()}},

		{name: "empty", data: "", err: keys.ErrNoPublicKeys},
		{name: "no PEM", data: "key", err: keys.ErrNoPublicKeys},
		{name: "Ed25519 only", data: keystest.PKIX(keystest.EdKey().Public()) + keystest.PKCS8(keystest.EdKey()), err: keys.ErrNoPublicKeys},
		{name: "encrypted", data: keystest.Block("ENCRYPTED PRIVATE KEY", []byte("x")), err: keys.ErrNoPublicKeys},
		{name: "trailing bytes in DER", data: keystest.Block("PUBLIC KEY", append(keystest.Must(x509.MarshalPKIXPublicKey(rsaPub)), 0)), err: keys.ErrNoPublicKeys},
		{name: "RSA of 1024 bits", data: keystest.PKIX(p256Pub) + keystest.PKIX(keystest.WeakKey().Public()), fault: keys.ReasonSize},
		{name: "P-224", data: keystest.PKIX(keystest.P224Key().Public()), fault: keys.ReasonCurve},
		{name: "1 MiB and a byte", data: keystest.PKIX(p256Pub) + strings.Repeat("\n", 1<<20), err: keys.ErrTooLarge},
		{name: "65 keys", data: many(65), err: keys.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := keys.ParsePublicKeys([]byte(tt.data))
			e, _ := errors.AsType[*keys.KeyError](err)
			if tt.fault == "" && !errors.Is(err, tt.err) || (e != nil) != (tt.fault != "") || e != nil && e.Reason != tt.fault {
				t.Fatalf("ParsePublicKeys() = %v, want %v or fault %q", err, tt.err, tt.fault)
			}
			if diff := cmp.Diff(texts(tt.want), texts(got)); diff != "" {
				t.Errorf("ParsePublicKeys() (-want +got):\n%s", diff)
			}
		})
	}
	if got := len(keystest.Must(keys.ParsePublicKeys([]byte(many(64))))); got != 64 {
		t.Errorf("%d keys of 64", got)
	}
	if got, want := keys.ErrNoPublicKeys.Error(), "data does not contain any valid RSA or ECDSA public keys"; !strings.Contains(got, want) {
		t.Errorf("ErrNoPublicKeys = %q, want %q", got, want)
	}
	_, err := keys.ParsePublicKeys([]byte(keystest.PKIX(p256Pub) + keystest.PKIX(keystest.WeakKey().Public())))
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
	der := keystest.Must(asn1.Marshal(struct {
		Version             int
		N                   *big.Int
		E                   int
		D, P, Q, DP, DQ, QI *big.Int
	}{0, n, 65537, less(n), p, q, less(p), less(q), less(p)}))
	parse := func(name, data string) time.Duration {
		least := time.Duration(math.MaxInt64)
		for range 3 {
			start := time.Now()
			if _, err := keys.ParsePrivateKey([]byte(data)); !errors.Is(err, keys.ErrNoPrivateKey) {
				t.Errorf("%s: ParsePrivateKey() = %v, want ErrNoPrivateKey", name, err)
			}
			if _, err := keys.ParsePublicKeys([]byte(data)); !errors.Is(err, keys.ErrNoPublicKeys) {
				t.Errorf("%s: ParsePublicKeys() = %v, want ErrNoPublicKeys", name, err)
			}
			least = min(least, time.Since(start))
		}
		return least
	}
	parse("one private key that fills the file", keystest.Block("RSA PRIVATE KEY", der)) // a minute's work
	for name, part := range map[string]string{
		"beginnings":            "-----BEGIN A-----\n",
		"beginnings of headers": "-----BEGIN A-----\nx:",
		"wrong endings":         "-----BEGIN A-----\n-----END B-----\n",
		"empty blocks":          "-----BEGIN A-----\n-----END A-----\n",
	} {
		// Quadratic time would be 4096 times as long.
		few, many := parse(name, strings.Repeat(part, 1<<14/len(part))), parse(name, strings.Repeat(part, 1<<20/len(part)))
		if many > 10*64*few {
			t.Errorf("%s: parsing 16 KiB took %v and 1 MiB %v, want some 64 times as long", name, few, many)
		}
	}
}

// A text may be 1 MiB long, and what may be a private key 8 KiB.
func TestParsePEMBounds(t *testing.T) {
	const longest = 1 << 20
	text := []byte(keystest.PKCS8(keystest.P256Key()))
	text = append(text, bytes.Repeat([]byte("\n"), longest-len(text))...)
	for _, tt := range []struct {
		text []byte
		want error
	}{{text, nil}, {append(text, '\n'), keys.ErrTooLarge}} {
		if _, err := keys.ParsePrivateKey(tt.text); !errors.Is(err, tt.want) {
			t.Errorf("ParsePrivateKey() of %d bytes = %v, want %v", len(tt.text), err, tt.want)
		}
		if _, err := keys.ParsePublicKeys(tt.text); !errors.Is(err, tt.want) {
			t.Errorf("ParsePublicKeys() of %d bytes = %v, want %v", len(tt.text), err, tt.want)
		}
	}
	for length, want := range map[int][2]error{8 << 10: {nil, nil}, 8<<10 + 1: {keys.ErrNoPrivateKey, keys.ErrNoPublicKeys}} {
		block := []byte(keystest.Block("PRIVATE KEY", padded(keystest.P256Key(), length)))
		if _, err := keys.ParsePrivateKey(block); !errors.Is(err, want[0]) {
			t.Errorf("ParsePrivateKey() of %d bytes of DER = %v, want %v", length, err, want[0])
		}
		if _, err := keys.ParsePublicKeys(block); !errors.Is(err, want[1]) {
			t.Errorf("ParsePublicKeys() of %d bytes of DER = %v, want %v", length, err, want[1])
		}
	}
}

// padded returns a key in PKCS #8 with a last element that fills it up.
func padded(key crypto.Signer, length int) []byte {
	var whole asn1.RawValue
	keystest.Must(asn1.Unmarshal(keystest.Must(x509.MarshalPKCS8PrivateKey(key)), &whole))
	padding := length - 8 - len(whole.Bytes) // both headers have 4 bytes
	content := append(whole.Bytes, keystest.Must(asn1.Marshal(make([]byte, padding)))...)
	return keystest.Must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: content}))
}

func texts(list []crypto.PublicKey) (out []string) {
	for _, key := range list {
		out = append(out, keystest.PKIX(key))
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
	private, empty := write("sa.key", keystest.SEC1(keystest.P256Key())), write("empty", "")
	public, certs := write("sa.pub", keystest.PKIX(keystest.RSAKey().Public())+keystest.PKIX(keystest.P256Key().Public())), write("cert", certificate(keystest.P384Key()))
	large := write("large", strings.Repeat("\n", 1<<20+1))

	if key, err := keys.ReadPrivateKeyFile(private); err != nil || !keystest.P256Key().Equal(key) {
		t.Errorf("ReadPrivateKeyFile() = %v", err)
	}
	list, err := keys.ReadPublicKeyFiles(public, certs, private)
	want := []crypto.PublicKey{keystest.RSAKey().Public(), keystest.P256Key().Public(), keystest.P384Key().Public(), keystest.P256Key().Public()}
	if diff := cmp.Diff(texts(want), texts(list)); err != nil || diff != "" {
		t.Errorf("ReadPublicKeyFiles() = %v (-want +got):\n%s", err, diff)
	}

	for _, tt := range []struct{ name, private, public string }{
		{empty, "data does not contain a valid RSA or ECDSA private key: it is empty", "data does not contain any valid RSA or ECDSA public keys: it is empty"},
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
	for _, key := range []crypto.Signer{keystest.RSAKey(), keystest.P256Key(), keystest.P384Key(), keystest.P521Key()} {
		private := keystest.Must(keys.EncodePrivateKey(key))
		if !bytes.HasPrefix(private, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Errorf("EncodePrivateKey() is no PKCS#8 block")
		}
		if got := keystest.Must(keys.ParsePrivateKey(private)); !equalKeys(key.Public(), got.Public()) {
			t.Errorf("%T: another key comes back", key)
		}
		public := keystest.Must(keys.EncodePublicKey(key.Public()))
		if !bytes.HasPrefix(public, []byte("-----BEGIN PUBLIC KEY-----\n")) {
			t.Errorf("EncodePublicKey() is no PKIX block")
		}
		if got := keystest.Must(keys.ParsePublicKeys(public)); len(got) != 1 || !equalKeys(key.Public(), got[0]) {
			t.Errorf("%T: another public key comes back", key)
		}
	}
	for name, key := range map[string]crypto.Signer{
		"nil": nil, "typed nil": (*rsa.PrivateKey)(nil), "Ed25519": keystest.EdKey(), "weak": keystest.WeakKey(), "P-224": keystest.P224Key(),
		"elsewhere": struct{ crypto.Signer }{keystest.P256Key()}, "no number": &ecdsa.PrivateKey{PublicKey: keystest.P256Key().PublicKey}, "no primes": &rsa.PrivateKey{PublicKey: keystest.RSAKey().PublicKey},
	} {
		if _, err := keys.EncodePrivateKey(key); !isKeyError(err) {
			t.Errorf("%s: EncodePrivateKey() = %v, want a KeyError", name, err)
		}
	}
	if _, err := keys.EncodePrivateKey(keystest.EdKey()); err == nil || !strings.Contains(err.Error(), "type ed25519.PrivateKey, want *rsa.PrivateKey or *ecdsa.PrivateKey") {
		t.Errorf("EncodePrivateKey() of an Ed25519 key = %v", err)
	}
	for name, key := range map[string]crypto.PublicKey{"nil": nil, "typed nil": (*rsa.PublicKey)(nil), "private": keystest.P256Key(), "weak": keystest.WeakKey().Public(), "string": "x"} {
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
	f.Add([]byte(keystest.PKCS8(keystest.P256Key()) + keystest.PKIX(keystest.P384Key().Public()) + certificate(keystest.P256Key()) + ecParameters))
	f.Add([]byte(keystest.SEC1(keystest.P521Key())))
	f.Add([]byte(keystest.PKCS1(keystest.RSAKey())))
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
