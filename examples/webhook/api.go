package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

type apiOptions struct{ url, caFile, tokenFile string }

// An api gets accounts from the API server, with one request each. Programs with
// client-go use serviceaccount.FromCoreV1 instead, behind an informer's cache.
type api struct {
	base      *url.URL
	tokenFile string
	client    *http.Client
}

func newAPI(o apiOptions) (*api, error) {
	base, err := url.Parse(o.url)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("API server %q: want an https URL", o.url)
	}
	ca, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s: no certificate in it", o.caFile)
	}
	return &api{base: base, tokenFile: o.tokenFile, client: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		},
		// The token is for the API server only: it must not follow redirects.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// maxAccount bounds an account. etcd's own limit is 1.5 MiB.
const maxAccount = 2 << 20

// GetServiceAccount implements [admission.ServiceAccountGetter].
func (a *api) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	for _, part := range []string{namespace, name} {
		if len(validation.IsDNS1123Subdomain(part)) > 0 {
			// Such as "..", which would be another path.
			return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
		}
	}
	at := a.base.JoinPath("api", "v1", "namespaces", namespace, "serviceaccounts", name)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	r.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAccount+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAccount {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAccount)
	}
	if resp.StatusCode != http.StatusOK {
		var status metav1.Status
		if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || status.Reason == "" {
			// Not an answer of the API server: it must not count as NotFound.
			return nil, fmt.Errorf("the API server answers HTTP %d", resp.StatusCode)
		}
		return nil, &apierrors.StatusError{ErrStatus: status}
	}
	account := new(corev1.ServiceAccount)
	if err := json.Unmarshal(body, account); err != nil {
		return nil, fmt.Errorf("the API server's answer: %w", err)
	}
	if account.Namespace != namespace || account.Name != name {
		return nil, fmt.Errorf("the API server answers with another account than %s/%s", namespace, name)
	}
	return account, nil
}
