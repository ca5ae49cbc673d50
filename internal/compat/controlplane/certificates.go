package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/kubesa/serviceaccount/keys"
)

// An authority signs the certificates of the API server and of its clients.
type authority struct {
	key         crypto.Signer
	certificate *x509.Certificate
	pem         []byte
}

// openAuthority returns the authority that dir holds, or a new one that it keeps
// there.
func openAuthority(dir string) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(certFile, keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("controlplane: the authority of %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("controlplane: the authority of %s has a %T", dir, pair.PrivateKey)
	}
	return &authority{key, pair.Leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})}, nil
}

func newAuthority(certFile, keyFile string) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "controlplane authority"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certPEM, key, der, err := sign(template, nil, nil)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keys.EncodePrivateKey(key)
	if err != nil {
		return nil, err
	}
	// The certificate last: without it there is no authority yet.
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return nil, err
	}
	return &authority{key, certificate, certPEM}, os.WriteFile(certFile, certPEM, 0o600)
}

// server returns a certificate and its key, as PEM, for a server on loopback.
func (a *authority) server() (certPEM, keyPEM []byte, err error) {
	return a.pair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:    []string{"localhost"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client returns a certificate and its key, as PEM, that make the API server
// see a user with these groups.
func (a *authority) client(user string, groups ...string) (certPEM, keyPEM []byte, err error) {
	return a.pair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) pair(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	certPEM, key, _, err := sign(template, a.certificate, a.key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = keys.EncodePrivateKey(key)
	return certPEM, keyPEM, err
}

// sign makes a key and a certificate for it, signed by parent or, without one,
// by the key itself.
func sign(template, parent *x509.Certificate, parentKey crypto.Signer) (certPEM []byte, key crypto.Signer, der []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
	if template.IsCA {
		template.NotAfter = time.Now().AddDate(10, 0, 0)
	}
	der, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("controlplane: certificate of %s: %w", template.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, der, nil
}
