package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

// Each controller that is on can be run, but those that have nothing to work with
// (CTL-1, CTL-2).
func TestNewSetup(t *testing.T) {
	dir := t.TempDir()
	key, err := keys.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := keys.EncodePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sa.key"), keyPEM)
	ca := newCA(t)
	write(t, filepath.Join(dir, "ca.crt"), ca)
	write(t, filepath.Join(dir, "bad.crt"), ca[:len(ca)/2])

	tests := []struct {
		name     string
		args     []string
		clientCA []byte
		old      bool     // the API server has no ClusterTrustBundles
		want     []string // names that the log has as disabled
		wantErr  string
		applies  int // controllers that follow the CA
	}{
		{name: "all", args: []string{"--service-account-private-key-file=" + dir + "/sa.key", "--root-ca-file=" + dir + "/ca.crt", "--controllers=*," + trackerName}, applies: 3},
		{name: "CA of the client", args: []string{"--service-account-private-key-file=" + dir + "/sa.key"}, clientCA: ca, applies: 3},
		{name: "no key", args: []string{"--root-ca-file=" + dir + "/ca.crt"}, want: []string{tokensName}, applies: 2},
		{name: "no CA", args: []string{"--service-account-private-key-file=" + dir + "/sa.key"}, want: []string{publisherName, bundlesName}, applies: 1},
		{name: "a CA that is no trust bundle", args: []string{"--controllers=" + publisherName + "," + bundlesName}, clientCA: append(ca[:len(ca):len(ca)], ca...), want: []string{bundlesName}, applies: 1},
		{name: "an API server without trust bundles", args: []string{"--controllers=" + bundlesName}, clientCA: ca, old: true, want: []string{bundlesName}},
		{name: "half a CA", args: []string{"--root-ca-file=" + dir + "/bad.crt"}, wantErr: "error parsing root-ca-file at " + dir + "/bad.crt: "},
		{name: "no such key", args: []string{"--service-account-private-key-file=" + dir + "/none"}, wantErr: "service account token controller"},
		{name: "a certificate for a key", args: []string{"--service-account-private-key-file=" + dir + "/ca.crt"}, wantErr: "service account token controller"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parse(tt.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			client := fake.NewClientset()
			if !tt.old {
				client.Resources = []*metav1.APIResourceList{{GroupVersion: "certificates.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "clustertrustbundles"}}}}
			}
			m, err := manager.New(manager.Config{Client: client})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			clients := 0
			newClient := func() (kubernetes.Interface, error) { clients++; return client, nil }
			s, err := newSetup(t.Context(), opts, m, newClient, tt.clientCA, slog.New(slog.NewTextHandler(&log, nil)))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("newSetup() = %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := len(canonicalControllers()); clients != want {
				t.Errorf("%d clients, want one for each of %d controllers", clients, want)
			}
			if len(s.apply) != tt.applies {
				t.Errorf("%d controllers follow the CA bundle, want %d", len(s.apply), tt.applies)
			}
			if got := strings.Count(log.String(), "disabled"); got != len(tt.want) {
				t.Errorf("%d controllers are disabled, want %d:\n%s", got, len(tt.want), &log)
			}
			for _, name := range tt.want {
				if !strings.Contains(log.String(), "controller="+name) {
					t.Errorf("the log doesn't say that %s is disabled:\n%s", name, &log)
				}
			}
		})
	}
}

// What the cleaner changes and fails to is counted, from zero on.
func TestCleanupsAreCounted(t *testing.T) {
	s := &setup{log: slog.New(slog.DiscardHandler), cleanups: newCleanups()}
	s.observe(t.Context(), legacytoken.Event{Report: &legacytoken.Report{Problem: "no ConfigMap"}})
	s.observe(t.Context(), legacytoken.Event{Report: &legacytoken.Report{Decisions: []legacytoken.Decision{
		{Action: legacytoken.Keep},
		{Action: legacytoken.Keep, Err: errors.New("busy")},
		{Action: legacytoken.Invalidate},
		{Action: legacytoken.Delete, Err: errors.New("busy")},
		{Action: legacytoken.Delete, Err: errors.New("busy")},
	}}})
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.cleanups)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	const want = `# HELP serviceaccount_legacy_token_cleanups_total Secrets with unused tokens. action is invalidate or delete, result success or error.
# TYPE serviceaccount_legacy_token_cleanups_total counter
serviceaccount_legacy_token_cleanups_total{action="delete",result="error"} 2
serviceaccount_legacy_token_cleanups_total{action="delete",result="success"} 0
serviceaccount_legacy_token_cleanups_total{action="invalidate",result="error"} 0
serviceaccount_legacy_token_cleanups_total{action="invalidate",result="success"} 1
`
	if got := w.Body.String(); got != want {
		t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
	}
}

// canonicalControllers returns all controllers, under one name each.
func canonicalControllers() map[string]bool {
	all := map[string]bool{}
	for _, name := range canonicalNames {
		all[name] = true
	}
	return all
}

// C11: a file that is half written changes nothing, the whole one does, once.
func TestFollowRootCA(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.crt")
	first, second := newCA(t), newCA(t)
	write(t, file, first)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var applied []string
		s := &setup{
			log:    slog.New(slog.NewTextHandler(&log, nil)),
			rootCA: first,
			apply:  []func([]byte) error{func(data []byte) error { applied = append(applied, string(data)); return nil }},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go s.followRootCA(ctx, file)
		for _, data := range [][]byte{first, second[:len(second)/2], nil, second, second} {
			write(t, file, data)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if len(applied) != 1 || applied[0] != string(second) {
			t.Errorf("applied %q, want the second bundle once", applied)
		}
		if !strings.Contains(log.String(), "Keeping the CA bundle") {
			t.Errorf("the log doesn't tell of the half written file:\n%s", &log)
		}
	})
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
