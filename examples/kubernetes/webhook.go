package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/keys"
)

// startWebhook serves the admission plugin over TLS and registers it at the API server.
func (p *plane) startWebhook(ctx, serving context.Context) error {
	clients := serviceaccount.FromCoreV1(p.client.CoreV1())
	cfg := admission.Config{ServiceAccounts: clients} // live; in a big cluster, a cache, and this one as Live
	if p.era == eraSecrets {
		cfg.TokenVolume, cfg.Secrets = admission.SecretBacked, clients
	}
	plugin, err := admission.New(cfg)
	if err != nil {
		return err
	}
	handler, err := webhook.New(plugin, webhook.Config{})
	if err != nil {
		return err
	}
	certificate, authority, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /admit", handler)
	server := &http.Server{
		Handler:           mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
	}
	context.AfterFunc(serving, func() { server.Close() })
	p.part(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return p.register(ctx, "https://"+listener.Addr().String()+"/admit", authority)
}

// register registers url as a mutating webhook for pods.
func (p *plane) register(ctx context.Context, url string, authority []byte) error {
	fail, none, namespaced := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.NamespacedScope
	rule := func(operation admissionregistrationv1.OperationType, resource string) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}, Scope: &namespaced},
		}
	}
	wanted := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "serviceaccount"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:                    "serviceaccount.example.com",
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: authority},
			Rules:                   []admissionregistrationv1.RuleWithOperations{rule(admissionregistrationv1.Create, "pods"), rule(admissionregistrationv1.Update, "pods/ephemeralcontainers")},
			FailurePolicy:           &fail, // no pod is admitted without its account
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	webhooks := p.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := webhooks.Create(ctx, wanted, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, err := webhooks.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	there.Webhooks = wanted.Webhooks
	_, err = webhooks.Update(ctx, there, metav1.UpdateOptions{})
	return err
}

// selfSigned returns a certificate for loopback, and its CA bundle as PEM. It is valid
// for a year; each start creates another.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
