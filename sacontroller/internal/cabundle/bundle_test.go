package cabundle

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// newCA returns a self-signed CA certificate in PEM.
func newCA(t testing.TB, serial int64) []byte {
	t.Helper()
	return newCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true})
}

// newCertificate returns a self-signed certificate in PEM.
func newCertificate(t testing.TB, template *x509.Certificate) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// CTL-2, SECURITY C11
func TestCheck(t *testing.T) {
	one, two := string(newCA(t, 1)), string(newCA(t, 2))
	tests := []struct {
		name, data, want string
	}{
		{name: "one", data: one},
		{name: "two with comments", data: "# first\n" + one + "# second\n" + two + "# end\n"},
		{name: "empty", want: "holds no certificate"},
		{name: "no PEM", data: "CA Data", want: "holds no certificate"},
		{name: "first half of one", data: one[:len(one)/2], want: "damaged block beside 0 certificates"},
		{name: "half of the second", data: one + two[:len(two)/2], want: "damaged block beside 1 certificates"},
		{name: "damaged in the middle", data: strings.Replace(one, "-----END", "----END", 1) + two, want: "damaged block"},
		{name: "cut in its last line", data: one + two[:len(two)-10], want: "damaged block"},
		{name: "cut in its first line", data: one + "# second\n-----BEG", want: "damaged block beside 1 certificates"},
		{name: "cut at once", data: one + "-", want: "damaged block beside 1 certificates"},
		{name: "a key", data: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", want: `type "PRIVATE KEY"`},
		{name: "not DER", data: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: "certificate 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check([]byte(tt.data))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// CTB-23, CTB-24: what the API server rejects in a ClusterTrustBundle.
func TestCheckAnchors(t *testing.T) {
	one, two := string(newCA(t, 1)), string(newCA(t, 2))
	leaf := string(newCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "leaf"}, BasicConstraintsValid: true}))
	unknown := string(newCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(4)}))
	header := strings.Replace(two, "-----\n", "-----\nA: b\n\n", 1)
	full := one + two + strings.Repeat("#", 1<<20-len(one+two))
	tests := []struct {
		name, data, want string
	}{
		{name: "one", data: one},
		{name: "two", data: "# first\n" + one + two},
		{name: "1 MiB", data: full},
		{name: "a byte more", data: full + "#", want: "has 1048577 bytes, want at most 1048576"},
		{name: "none", want: "holds no certificate"},
		{name: "header", data: one + header, want: "certificate 2 has PEM headers"},
		{name: "not a CA", data: leaf, want: `certificate 1, "CN=leaf", is not that of a CA`},
		{name: "without constraints", data: one + two + unknown, want: `certificate 3, "", is not that of a CA`},
		{name: "twice", data: one + two + one, want: `certificate 3, "", is the same as 1, want each once`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckAnchors([]byte(tt.data))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("CheckAnchors() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// Every prefix of a good bundle is refused, unless it ends between certificates:
// SECURITY C11.
func FuzzCheck(f *testing.F) {
	one, two := newCA(f, 1), newCA(f, 2)
	whole := string(one) + string(two)
	for n := range len(whole) {
		if n%97 == 0 || n > len(one)-3 && n < len(one)+3 {
			f.Add([]byte(whole[:n]))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Check(data)
		if n := len(data); err == nil && strings.HasPrefix(whole, string(data)) && n < len(whole)-1 && n != len(one) && n != len(one)-1 {
			t.Errorf("Check() of the first %d of %d bytes = nil, want an error", n, len(whole))
		}
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(data) {
			t.Error("Check() = nil for a bundle that crypto/x509 finds no certificate in")
		}
	})
}

func TestSet(t *testing.T) {
	b := New([]byte("CA Data"), nil, Check)
	one := newCA(t, 1)
	if err := b.Set(one[:100]); err == nil || string(b.Get(t.Context())) != "CA Data" || len(b.resync) != 0 {
		t.Errorf("Set() of half a certificate = %v and left %q with %d resyncs due, want an error and no change", err, b.Get(t.Context()), len(b.resync))
	}
	for range 3 {
		if err := b.Set(one); err != nil {
			t.Fatal(err)
		}
	}
	if string(b.Get(t.Context())) != string(one) || len(b.resync) != 1 {
		t.Errorf("Set() left %q with %d resyncs due, want the new bundle and one", b.Get(t.Context()), len(b.resync))
	}
	<-b.resync
	if err := b.Set(one); err != nil || len(b.resync) != 0 {
		t.Errorf("Set() of the same bundle = %v with %d resyncs due, want none", err, len(b.resync))
	}
}

func TestNamed(t *testing.T) {
	check := Named("rootca", Check)
	if err := check(newCA(t, 1)); err != nil {
		t.Errorf("a good bundle: %v", err)
	}
	if err, want := check(nil), "rootca: "+Check(nil).Error(); err == nil || err.Error() != want {
		t.Errorf("no bundle: %v, want %s", err, want)
	}
}

// A tenant's own bundle takes the place of the one for all.
func TestGet(t *testing.T) {
	type key struct{}
	b := New([]byte("all"), func(ctx context.Context) []byte { own, _ := ctx.Value(key{}).(string); return []byte(own) }, Check)
	for own, want := range map[string]string{"": "all", "x": "x"} {
		if got := string(b.Get(context.WithValue(t.Context(), key{}, own))); got != want {
			t.Errorf("Get() with %q = %q, want %q", own, got, want)
		}
	}
	b.Notify()
	b.Notify()
	<-b.Resync()
	if len(b.Resync()) != 0 {
		t.Error("two resyncs are due, want one")
	}
}
