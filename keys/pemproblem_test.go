package keys_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// An error about a key says in which block it is.
func TestPEMBlockNumber(t *testing.T) {
	weak := keystest.PKCS1(keystest.WeakKey())
	for data, want := range map[string]string{
		weak:                        "keys: PEM block 1: unusable key: RSA modulus of 1024 bits, want 2048 to 8192",
		"x\n" + ecParameters + weak: "keys: PEM block 2: unusable key: RSA modulus of 1024 bits, want 2048 to 8192",
	} {
		_, private := keys.ParsePrivateKey([]byte(data))
		_, public := keys.ParsePublicKeys([]byte(data))
		for _, err := range []error{private, public} {
			if !isKeyError(err) || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// What other programs write is told by its kind: the files begin with the two problems.
func TestPEMKinds(t *testing.T) {
	files := keystest.Must(filepath.Glob("testdata/kinds/*.pem"))
	if len(files) < 20 {
		t.Fatalf("there are %d files", len(files))
	}
	for _, file := range files {
		data := keystest.Must(os.ReadFile(file))
		_, privateErr := keys.ParsePrivateKey(data)
		_, publicErr := keys.ParsePublicKeys(data)
		got := fmt.Sprintf("ParsePrivateKey: %v\nParsePublicKeys: %v\n", privateErr, publicErr)
		if want := string(data[:bytes.Index(data, []byte("-----BEGIN"))]); want != got {
			t.Errorf("%s: got\n%swant\n%s", file, got, want)
		}
	}
}

// What is given instead of a key is named, with what to do, and nothing of it is in the
// text.
func TestPEMProblems(t *testing.T) {
	private, public := keystest.PKCS8(keystest.P256Key()), keystest.PKIX(keystest.P256Key().Public())
	canary := []byte("canary")
	encryptedPKCS1 := strings.Replace(keystest.Block("RSA PRIVATE KEY", canary), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,CA4A127C\n\n", 1)
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	same := func(want string) [2]string { return [2]string{want, want} }
	for _, tt := range []struct {
		name, data string
		want       [2]string // of ParsePrivateKey and ParsePublicKeys; empty if it reads a key
	}{
		{"empty", "", same("it is empty")},
		{"white space", " \r\n\t", same("it is empty")},
		{"byte order mark", "\ufeff" + private, same("it begins with a byte order mark: save it without one")},
		{"UTF-16", "\xff\xfe-\x00-\x00", same("it is UTF-16 text: save it as UTF-8")},
		{"UTF-16, the other way round", "\xfe\xff\x00-\x00-", same("it is UTF-16 text: save it as UTF-8")},
		{"CRLF", strings.ReplaceAll(private, "\n", "\r\n"), same("")},
		{"encrypted PKCS#8", keystest.Block("ENCRYPTED PRIVATE KEY", canary), same("block 1 is an encrypted private key: decrypt it, for example with openssl pkey -in FILE")},
		{"encrypted PKCS#1", encryptedPKCS1, same("block 1 is an encrypted private key: decrypt it, for example with openssl pkey -in FILE")},
		{"OpenSSH", keystest.Block("OPENSSH PRIVATE KEY", canary), same("block 1 is an OpenSSH private key: convert it with ssh-keygen -p -m PEM -f FILE")},
		{"OpenSSH public", "ecdsa-sha2-nistp256 AAAAcanary me@canary\n", same("it is an OpenSSH public key: convert it with ssh-keygen -e -m PKCS8 -f FILE")},
		{"PuTTY", "PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\ncanary", same("it is a PuTTY key: export it as OpenSSH key and convert that with ssh-keygen -p -m PEM -f FILE")},
		{"escaped line breaks", strings.ReplaceAll(private, "\n", `\n`), same(`its line breaks are written as \n: replace them by line breaks`)},
		{"escaped line breaks in JSON", `{"key":"` + strings.ReplaceAll(private, "\n", `\n`) + `"}`, same(`its line breaks are written as \n: replace them by line breaks`)},
		{"one line", strings.ReplaceAll(private, "\n", " "), same("it is one line: its line breaks are missing")},
		{"old line breaks", strings.ReplaceAll(private, "\n", "\r"), same("it is one line: its line breaks are missing")},
		{"indented", "  " + strings.ReplaceAll(private, "\n", "\n  "), same("it is indented: remove the space before its BEGIN and END lines")},
		{"indented by tabs", "\t" + strings.ReplaceAll(private, "\n", "\n\t"), same("it is indented: remove the space before its BEGIN and END lines")},
		{"only its end indented", strings.Replace(private, "-----END", " -----END", 1), same("it is indented: remove the space before its BEGIN and END lines")},
		{"quoted", `"` + strings.TrimSpace(private) + `"`, same("there is something before BEGIN or END in their lines: remove it, such as quotes")},
		{"base64 of PEM", b64(private), same("it is base64 of PEM, as in the data of a Secret: decode it")},
		{"base64 of PEM in lines", b64(private)[:76] + "\n" + b64(private)[76:] + "\n", same("it is base64 of PEM, as in the data of a Secret: decode it")},
		{"base64 without lines", b64(string(keystest.Must(x509.MarshalPKCS8PrivateKey(keystest.P256Key())))), same("it is base64 without BEGIN and END lines: add them")},
		{"base64 of a small key", b64(string(keystest.Must(x509.MarshalPKIXPublicKey(keystest.P256Key().Public())))), same("it is base64 without BEGIN and END lines: add them")},
		{"base64 of something", b64("canary canary"), same("it has no PEM block")},
		{"base64 of PEM, and more", b64(private) + "?", same("it is base64 of PEM, as in the data of a Secret: decode it")},
		{"no end", private[:100], same("it is cut short: an END line is missing")},
		{"no beginning", private[60:], same("it is cut short: a BEGIN line is missing")},
		{"damaged", strings.Replace(private, "M", "*", 1), same("its PEM block is damaged")},
		{"DER", string(keystest.Must(x509.MarshalPKCS8PrivateKey(keystest.P256Key()))), same("it is DER or PKCS#12, want PEM: convert it, for example with openssl pkey -inform DER -in FILE")},
		{"small DER", string(keystest.Must(x509.MarshalPKIXPublicKey(keystest.P256Key().Public()))), same("it is DER or PKCS#12, want PEM: convert it, for example with openssl pkey -inform DER -in FILE")},
		{"DER, and more", string(keystest.Must(x509.MarshalPKCS8PrivateKey(keystest.P256Key()))) + "canary", same("it has no PEM block")},
		{"DER of a number", "\x02\x01\x05", same("it has no PEM block")},
		{"text that begins as DER does", "0123 canary", same("it has no PEM block")},
		{"YAML with a JWK in it", "key: {\"kty\": \"EC\"}", same("it has no PEM block")},
		{"JSON array of JWKs", `[{"kty":"EC"}]`, same("it is JSON, want PEM")},
		{"JWK", `{"kty":"EC","d":"canary"}`, same("it is a JWK or a JWK Set, want PEM: for public ones there is ParseJWKS")},
		{"JWK Set", `{"keys":[{"kty":"EC"}]}`, same("it is a JWK or a JWK Set, want PEM: for public ones there is ParseJWKS")},
		{"JSON", `{"canary":1}`, same("it is JSON, want PEM")},
		{"manifest", "apiVersion: v1\nkind: Secret\n", same("it is a Kubernetes manifest or kubeconfig, want PEM")},
		{"anything", "canary", same("it has no PEM block")},

		{"certificate", certificate(keystest.P256Key()), [2]string{"block 1 is a certificate, which has no private key", ""}},
		{"certificate of nothing", keystest.Block("CERTIFICATE", canary), [2]string{"block 1 is a certificate, which has no private key", "block 1 is a certificate of a key that is neither RSA nor ECDSA, or is damaged"}},
		{"request", keystest.Block("CERTIFICATE REQUEST", canary), same("block 1 is a certificate request, want the key itself")},
		{"public", public, [2]string{"block 1 is a public key, want a private one", ""}},
		{"damaged public", keystest.Block("PUBLIC KEY", canary), [2]string{"block 1 is a public key, want a private one", "block 1 is a public key that is neither RSA nor ECDSA, or is damaged"}},
		{"damaged private", keystest.Block("EC PRIVATE KEY", canary), same("block 1 is a private key that is neither RSA nor ECDSA, or is damaged")},
		{"private of another form", keystest.Block("EC PRIVATE KEY", x509.MarshalPKCS1PrivateKey(keystest.RSAKey())), [2]string{"block 1 is a key in another form than its BEGIN line says", ""}},
		{"PKCS#8 of another form", keystest.Block("RSA PRIVATE KEY", keystest.Must(x509.MarshalPKCS8PrivateKey(keystest.P256Key()))), [2]string{"block 1 is a key in another form than its BEGIN line says", ""}},
		{"large", keystest.Block("PRIVATE KEY", make([]byte, 9<<10)), [2]string{"block 1 is longer than 8 KiB, which no private key is", "block 1 is a private key that is neither RSA nor ECDSA, or is damaged"}},
		{"as large as a key may be", keystest.Block("PRIVATE KEY", make([]byte, 8<<10)), same("block 1 is a private key that is neither RSA nor ECDSA, or is damaged")},
		{"a byte larger", keystest.Block("PRIVATE KEY", make([]byte, 8<<10+1)), [2]string{"block 1 is longer than 8 KiB, which no private key is", "block 1 is a private key that is neither RSA nor ECDSA, or is damaged"}},
		{"private Ed25519", keystest.PKCS8(keystest.EdKey()), [2]string{"", "block 1 is an Ed25519 key, want an RSA or ECDSA key"}},
		{"Ed25519", keystest.PKIX(keystest.EdKey().Public()), [2]string{"block 1 is a public key, want a private one", "block 1 is an Ed25519 key, want an RSA or ECDSA key"}},
		{"damaged RSA public", keystest.Block("RSA PUBLIC KEY", canary), [2]string{"block 1 is a public key, want a private one", "block 1 is a public key that is neither RSA nor ECDSA, or is damaged"}},
		{"bundle", keystest.Block("PKCS7", canary), same("block 1 is a PKCS#7 bundle, want the keys or certificates themselves")},
		{"signed message", keystest.Block("CMS", canary), same("block 1 is a PKCS#7 bundle, want the keys or certificates themselves")},
		{"parameters", ecParameters, same("block 1 is parameters, without a key")},
		{"DSA", keystest.Block("DSA PRIVATE KEY", canary), same("block 1 is a DSA key, want an RSA or ECDSA key")},
		{"OpenPGP", keystest.Block("PGP PRIVATE KEY BLOCK", canary), same("block 1 is an OpenPGP key, want an RSA or ECDSA key in PEM")},
		{"unknown type", keystest.Block("CANARY", canary), same("block 1 is of an unknown type")},
		{"two kinds", keystest.Block("ENCRYPTED PRIVATE KEY", canary) + keystest.Block("OPENSSH PRIVATE KEY", canary), same("block 1 is an encrypted private key: decrypt it, for example with openssl pkey -in FILE; block 2 is an OpenSSH private key: convert it with ssh-keygen -p -m PEM -f FILE")},
		{"two kinds, one cut short", keystest.Block("DSA PRIVATE KEY", canary) + private[:100], same("block 1 is a DSA key, want an RSA or ECDSA key; and one is cut short")},
		{"three", strings.Repeat(ecParameters, 3), same("block 1 is parameters, without a key; block 2 is parameters, without a key; block 3 is parameters, without a key")},
		{"four", strings.Repeat(ecParameters, 4), same("block 1 is parameters, without a key; block 2 is parameters, without a key; block 3 is parameters, without a key; and there are 1 more")},
		{"many", strings.Repeat(ecParameters, 20), same("block 1 is parameters, without a key; block 2 is parameters, without a key; block 3 is parameters, without a key; and there are 17 more")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, privateErr := keys.ParsePrivateKey([]byte(tt.data))
			_, publicErr := keys.ParsePublicKeys([]byte(tt.data))
			for i, err := range []error{privateErr, publicErr} {
				sentinel := []error{keys.ErrNoPrivateKey, keys.ErrNoPublicKeys}[i]
				if tt.want[i] == "" && err == nil {
					continue
				}
				if want := sentinel.Error() + ": " + tt.want[i]; !errors.Is(err, sentinel) || err.Error() != want || strings.Contains(strings.ToLower(err.Error()), "canary") {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
}
