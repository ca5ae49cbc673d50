package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// clusterIssuer is the issuer and the audience of bound tokens.
const clusterIssuer = "https://kubernetes.default.svc"

// A plane is a small control plane: a cluster in memory and what acts on it.
type plane struct {
	cluster       *fake.Cluster
	controllers   []sacontroller.Controller
	plugin        *admission.Plugin
	authenticator *tokens.Authenticator
	requester     *tokenrequest.Requester
}

// newPlane wires the parts together: signer signs every token, verifying verifies
// them.
func newPlane(opts options, signer keys.Signer, verifying keys.Source) (*plane, error) {
	p := &plane{cluster: &fake.Cluster{UIDSeed: 1}}
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: clusterIssuer, Signer: signer})
	if err != nil {
		return nil, err
	}
	p.authenticator, err = newAuthenticator(p.cluster, verifying)
	if err != nil {
		return nil, err
	}
	p.requester, err = tokenrequest.New(tokenrequest.Config{
		Issuer:          issuer,
		APIAudiences:    []string{clusterIssuer},
		ServiceAccounts: p.cluster,
	})
	if err != nil {
		return nil, err
	}
	rootCA, err := newRootCA()
	if err != nil {
		return nil, err
	}
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: p.cluster, Client: p.cluster})
	if err != nil {
		return nil, err
	}
	secrets, err := sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader:       p.cluster,
		Client:       p.cluster,
		Issuer:       issuer,
		RootCA:       rootCA,
		AutoGenerate: opts.legacy,
	})
	if err != nil {
		return nil, err
	}
	p.controllers = []sacontroller.Controller{accounts, secrets}
	p.plugin, err = newPlugin(p.cluster, opts)
	return p, err
}

func newPlugin(cluster *fake.Cluster, opts options) (*admission.Plugin, error) {
	cfg := admission.Config{
		ServiceAccounts: cluster,
		DisableWait:     true, // the controllers have settled before a pod comes
		Strict:          opts.strict,
		// The same output every time.
		NewName: func(base string) string { return base + "2xk8b" },
	}
	if opts.legacy {
		cfg.TokenVolume, cfg.Secrets = admission.SecretBacked, cluster
	}
	return admission.New(cfg)
}

// newAuthenticator returns an authenticator that needs public keys only.
func newAuthenticator(cluster *fake.Cluster, verifying keys.Source) (*tokens.Authenticator, error) {
	return tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers:         []string{clusterIssuer},
		APIAudiences:    []string{clusterIssuer},
		Keys:            verifying,
		ServiceAccounts: cluster,
		Secrets:         cluster,
		Legacy:          true,
	})
}

// settle lets the controllers work until nothing is left to do.
func (p *plane) settle(ctx context.Context) error {
	return p.cluster.Settle(ctx, p.controllers...)
}

// admit changes pod as its creation would, and returns what that does and why, or
// the denial.
func (p *plane) admit(ctx context.Context, pod *corev1.Pod) (admission.Decision, error) {
	req := admission.Request{
		Operation: admissionv1.Create,
		Namespace: pod.Namespace,
		Name:      pod.Name,
		Pod:       pod,
	}
	decision, err := p.plugin.Decide(ctx, req)
	if err != nil {
		return admission.Decision{}, err
	}
	decision.Apply(pod)
	return decision, nil
}

// newRootCA returns the PEM of a new certificate that signed itself, for pods to
// find the API server with.
func newRootCA() ([]byte, error) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kubernetes"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
