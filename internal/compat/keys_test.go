package compat

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/keyutil"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
)

// A blob is one encoded key.
type blob struct {
	name  string // what is in it
	block string // the PEM type that belongs to it
	der   []byte
}

// blobs are keys in all encodings, apart from those that we refuse to use. They
// are made anew by each run, so that no private key lies about in the
// repository; what a case does depends on their kinds only, as long as it isn't
// damaged.
var blobs = sync.OnceValue(func() (list struct{ sound, weak []blob }) {
	exchange := must(ecdh.X25519().GenerateKey(rand.Reader))
	list.sound = []blob{
		{"nothing", "EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}},
		{"X25519 PKCS8", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(exchange))},
	}
	all := privateKeys()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "RSA 1024" || name == "P-224" {
			list.weak = append(list.weak, encodings(name, all[name])...)
		} else {
			list.sound = append(list.sound, encodings(name, all[name])...)
		}
	}
	return list
})

func privateKeys() map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{
		"RSA 1024": must(rsa.GenerateKey(rand.Reader, 1024)),
		"RSA 2048": must(rsa.GenerateKey(rand.Reader, 2048)),
		"P-224":    must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)),
		"P-256":    must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"P-384":    must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"P-521":    must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"Ed25519":  ed,
	}
}

func encodings(name string, key crypto.Signer) []blob {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	list := []blob{
		{name + " PKCS8", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))},
		{name + " PKIX", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))},
		{name + " certificate", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))},
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		list = append(list, blob{name + " PKCS1", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)},
			blob{name + " PKCS1 public", "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)})
	case *ecdsa.PrivateKey:
		list = append(list, blob{name + " SEC1", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))})
	}
	return list
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A keyFile is PEM text and what both make of it: the ids of the public keys.
type keyFile struct {
	data         []byte
	contents     []string
	upstream     []string
	ours         []string
	upstreamKeys []any
	upstreamErr  error
	oursErr      error
}

func newKeyFile(s *generate.Source) *keyFile {
	f := &keyFile{}
	var text bytes.Buffer
	for range generate.OneOf(s, 1, 0, 2, 3, 4) {
		b := generate.OneOf(s, blobs().sound...)
		if s.Chance(10) {
			b = generate.OneOf(s, blobs().weak...)
		}
		f.contents = append(f.contents, b.name)
		block := &pem.Block{Type: b.block, Bytes: bytes.Clone(b.der)}
		if s.Chance(25) {
			block.Type = generate.OneOf(s, "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE", "ENCRYPTED PRIVATE KEY", "EC PARAMETERS", "")
		}
		if s.Chance(5) {
			block.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}
		}
		switch s.Intn(40) {
		case 39:
			block.Bytes[s.Intn(len(block.Bytes))] ^= 1 << s.Intn(8)
		case 38:
			block.Bytes = block.Bytes[:s.Intn(len(block.Bytes))]
		case 37:
			block.Bytes = append(block.Bytes, s.Bytes(1+s.Intn(3))...)
		}
		encoded := pem.EncodeToMemory(block)
		switch s.Intn(20) {
		case 19:
			encoded = bytes.ReplaceAll(encoded, []byte("\n"), []byte("\r\n"))
		case 18:
			encoded = bytes.TrimRight(encoded, "\n")
		case 17:
			encoded = append([]byte("# a comment\n"), encoded...)
		case 16:
			encoded[s.Intn(len(encoded))] = byte(s.Intn(256))
		}
		times := 1
		if s.Chance(1) {
			times = 65
		}
		for range times {
			text.Write(encoded)
		}
	}
	f.data = text.Bytes()
	return f
}

func (f *keyFile) readPublic() {
	f.upstreamKeys, f.upstreamErr = keyutil.ParsePublicKeysPEM(f.data)
	f.upstream = nil
	if f.upstreamErr == nil {
		var getter upstreamtokens.PublicKeysGetter
		if getter, f.upstreamErr = upstreamtokens.StaticPublicKeysGetter(f.upstreamKeys); f.upstreamErr == nil {
			for _, key := range getter.GetPublicKeys(context.Background(), "") {
				f.upstream = append(f.upstream, key.KeyID)
			}
		}
	}
	var list []crypto.PublicKey
	list, f.oursErr = keys.ParsePublicKeys(f.data)
	f.ours = nil
	for _, key := range list {
		f.ours = append(f.ours, must(keys.ID(key)))
	}
}

// readPrivate reads the key of a signer: what no signer takes counts as an
// error.
func (f *keyFile) readPrivate() {
	f.upstream, f.ours, f.upstreamKeys = nil, nil, nil
	var key any
	if key, f.upstreamErr = keyutil.ParsePrivateKeyPEM(f.data); f.upstreamErr == nil {
		f.upstreamKeys = []any{key}
		if _, f.upstreamErr = upstreamtokens.JWTTokenGenerator("issuer", key); f.upstreamErr == nil {
			f.upstream = []string{must(keyID(key.(crypto.Signer).Public()))}
		}
	}
	var signer crypto.Signer
	if signer, f.oursErr = keys.ParsePrivateKey(f.data); f.oursErr == nil {
		if _, f.oursErr = keys.NewSigner(signer); f.oursErr == nil {
			f.ours = []string{must(keys.ID(signer.Public()))}
		}
	}
}

// keyID is upstream's id of a public key.
func keyID(public crypto.PublicKey) (string, error) {
	getter, err := upstreamtokens.StaticPublicKeysGetter([]any{public})
	if err != nil {
		return "", err
	}
	return getter.GetPublicKeys(context.Background(), "")[0].KeyID, nil
}

func (f *keyFile) diff() string {
	if (f.upstreamErr == nil) != (f.oursErr == nil) {
		return fmt.Sprintf("upstream: %q, %v\nours: %q, %v", f.upstream, f.upstreamErr, f.ours, f.oursErr)
	}
	return cmp.Diff(f.upstream, f.ours)
}

// refusedAs says whether we refuse the file because of a key of such faults.
func (f *keyFile) refusedAs(faults ...keys.Reason) bool {
	e, ok := errors.AsType[*keys.KeyError](f.oursErr)
	return ok && slices.Contains(faults, e.Reason)
}

func TestPublicKeyFiles(t *testing.T) {
	known := newDeviations(
		deviation[keyFile]{"KEY-10: RSA keys below 2048 bits, P-224 and broken RSA keys are refused", func(f *keyFile) bool {
			return f.refusedAs(keys.ReasonSize, keys.ReasonCurve, keys.ReasonModulus, keys.ReasonExponent, keys.ReasonWeakPrimes)
		}},
		deviation[keyFile]{"KEY-3: at most 64 keys in a file", func(f *keyFile) bool {
			return errors.Is(f.oursErr, keys.ErrTooLarge) && (len(f.upstream) > 64 || len(f.contents) > 1)
		}},
		deviation[keyFile]{"KEY-4: ECDSA keys in PKCS#8 and RSA keys in PKCS#1 are read", func(f *keyFile) bool {
			return f.oursErr == nil && subsequence(f.upstream, f.ours) && slices.ContainsFunc(f.contents, func(name string) bool {
				return strings.HasSuffix(name, "PKCS1 public") || strings.HasPrefix(name, "P-") && strings.HasSuffix(name, "PKCS8")
			})
		}},
	)
	checkKeyFiles(t, known, (*keyFile).readPublic)
}

func TestPrivateKeyFiles(t *testing.T) {
	known := newDeviations(
		deviation[keyFile]{"KEY-10: RSA keys below 2048 bits are refused", func(f *keyFile) bool {
			return f.refusedAs(keys.ReasonSize)
		}},
		deviation[keyFile]{"KEY-4: the key behind one for key exchange is found", func(f *keyFile) bool {
			_, ok := f.upstreamKeys[0].(*ecdh.PrivateKey)
			return ok && f.oursErr == nil
		}},
	)
	checkKeyFiles(t, known, (*keyFile).readPrivate)
}

func checkKeyFiles(t *testing.T, known *deviations[keyFile], read func(*keyFile)) {
	generate.Check(t, generate.Count(20_000, 1_000_000), func() func(*generate.Source) error {
		return func(s *generate.Source) error {
			f := newKeyFile(s)
			read(f)
			if diff := f.diff(); diff != "" && !known.explain(f) {
				return fmt.Errorf("upstream and we differ (-upstream +ours):\n%s\nerrors: %v, %v\nfile of %q:\n%s", diff, f.upstreamErr, f.oursErr, f.contents, f.data)
			}
			return nil
		}
	})
	known.report(t)
}

// subsequence says whether all of short is in long, in this order.
func subsequence(short, long []string) bool {
	for _, v := range long {
		if len(short) > 0 && short[0] == v {
			short = short[1:]
		}
	}
	return len(short) == 0
}

// KEY-30..35: both documents of discovery, byte for byte.
func TestDiscovery(t *testing.T) {
	var pool []any
	all := privateKeys()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if key := all[name]; name != "RSA 1024" && name != "P-224" && name != "Ed25519" {
			pool = append(pool, key, key.Public())
		}
	}
	known := newDeviations[discoveryCase]()
	generate.Check(t, generate.Count(5_000, 100_000), func() func(*generate.Source) error {
		return func(s *generate.Source) error {
			c := &discoveryCase{
				issuer:   generate.OneOf(s, "https://issuer.example", "http://issuer.example", "", "https://", "https://issuer.example/", "https://i?", "https://i?q=1", "https://i#f", "https://i#", "HTTPS://i", "https://user:word@i", "issuer.example", "https://[::1]:1", "https://a b", ":"),
				jwksURI:  generate.OneOf(s, "", "https://keys.example/jwks", "http://keys.example/jwks", "keys.example", "https://keys.example/jwks?x=<&>", ":", "https://"),
				external: generate.OneOf(s, "api.example", "", "192.0.2.1:443", "[::1]:6443", "https://api.example", "api.example/path", "a b", "api.example?x"),
				keys:     generate.ListOf(s, 4, func() any { return generate.OneOf(s, pool...) }),
			}
			c.run()
			if diff := c.diff(); diff != "" && !known.explain(c) {
				return fmt.Errorf("upstream and we differ (-upstream +ours):\n%s\ncase: issuer %q, jwks %q, external %q, %d keys", diff, c.issuer, c.jwksURI, c.external, len(c.keys))
			}
			return nil
		}
	})
	known.report(t)
}

type discoveryCase struct {
	issuer, jwksURI, external string
	keys                      []any
	upstream, ours            []string // the documents
	upstreamErr, oursErr      error
}

func (c *discoveryCase) run() {
	getter := must(upstreamtokens.StaticPublicKeysGetter(c.keys))
	provider, err := upstreamtokens.NewOpenIDMetadataProvider(c.issuer, c.jwksURI, c.external, getter)
	if c.upstreamErr = err; err == nil {
		config, _ := provider.GetConfigJSON()
		keySet, _ := provider.GetKeysetJSON()
		c.upstream = []string{string(config), string(keySet)}
	}
	var list []crypto.PublicKey
	for _, key := range c.keys {
		list = append(list, key)
	}
	publisher, err := discovery.NewPublisher(discovery.PublisherConfig{
		Issuer: c.issuer, JWKSURI: c.jwksURI, ExternalAddress: c.external, Keys: must(keys.NewSet(list...)),
	})
	if err == nil {
		err = publisher.Refresh(context.Background())
	}
	if c.oursErr = err; err == nil {
		config, keySet := publisher.Documents()
		c.ours = []string{string(config), string(keySet)}
	}
}

func (c *discoveryCase) diff() string {
	if (c.upstreamErr == nil) != (c.oursErr == nil) {
		return fmt.Sprintf("upstream: %v\nours: %v", c.upstreamErr, c.oursErr)
	}
	return cmp.Diff(c.upstream, c.ours)
}
