package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// A fixture is a webhook that runs, and what it needs: files and an API server.
type fixture struct {
	url     string
	client  *http.Client
	log     *lockedBuffer
	options options
	api     *httptest.Server
	server  *server
	stop    context.CancelFunc
	done    chan error
}

// lockedBuffer is a buffer that several goroutines may write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

const bearer = "the-webhooks-own-token"

// apiServer knows the account "default" of the namespace "shop".
func apiServer(t *testing.T) *httptest.Server {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+bearer:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/namespaces/shop/serviceaccounts/default":
			_, _ = io.WriteString(w, `{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"namespace":"shop","name":"default"},"imagePullSecrets":[{"name":"registry"}]}`)
		case r.URL.Path == "/api/v1/namespaces/shop/serviceaccounts/elsewhere":
			http.Redirect(w, r, "/api/v1/namespaces/shop/serviceaccounts/default", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/shop/serviceaccounts/"), strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/kube-system/serviceaccounts/"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not found","reason":"NotFound","code":404}`)
		default:
			w.WriteHeader(http.StatusNotFound) // a proxy's 404
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate makes a new certificate for 127.0.0.1 and returns it.
func writeCertificate(t *testing.T, o options, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, o.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	// Files that are written twice within the clock's tick look the same.
	changed := time.Now().Add(time.Duration(serial) * time.Second)
	for _, name := range []string{o.certFile, o.keyFile} {
		if err := os.Chtimes(name, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func optionsFor(t *testing.T) options { return optionsOf(t, apiServer(t)) }

func optionsOf(t *testing.T, server *httptest.Server) options {
	dir := t.TempDir()
	o, err := parse([]string{
		"-api-server", server.URL, "-drain", "0s",
		"-cert", filepath.Join(dir, "tls.crt"), "-key", filepath.Join(dir, "tls.key"),
		"-api-ca", filepath.Join(dir, "ca.crt"), "-api-token", filepath.Join(dir, "token"),
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.api.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write(t, o.api.tokenFile, []byte(bearer+"\n"))
	return o
}

// start runs a webhook until the test ends.
func start(t *testing.T) *fixture {
	api := apiServer(t)
	f := &fixture{log: new(lockedBuffer), api: api, options: optionsOf(t, api), done: make(chan error, 1)}
	f.trust(writeCertificate(t, f.options, 1))
	var err error
	if f.server, err = newWebhook(f.options, slog.New(slog.NewJSONHandler(f.log, nil))); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.url = "https://" + l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	f.stop = cancel
	ended := make(chan struct{})
	go func() {
		f.done <- f.server.serve(ctx, l)
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// trust makes f a client that trusts only certificate and connects anew each time.
func (f *fixture) trust(certificate *x509.Certificate) {
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	f.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
}

func (f *fixture) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := f.client.Get(f.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// review sends the creation of a pod with spec to /admit.
func (f *fixture) review(t *testing.T, spec string) *admissionv1.AdmissionResponse {
	t.Helper()
	body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"name":"web","namespace":"shop","operation":"CREATE","userInfo":{"username":"jane"},
		"object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"shop"},"spec":` + spec + `},"oldObject":null,"dryRun":false,"options":null}}`
	resp, err := f.client.Post(f.url+"/admit?timeout=10s", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || got.Response == nil || got.Response.UID != "u1" {
		t.Fatalf("got HTTP %d %+v, want 200 and a response to u1", resp.StatusCode, got)
	}
	return got.Response
}

func TestWebhook(t *testing.T) {
	f := start(t)
	got := f.review(t, `{"containers":[{"name":"app","newField":1}]}`)
	if !got.Allowed || !strings.Contains(string(got.Patch), `/spec/containers/0/volumeMounts`) || !strings.Contains(string(got.Patch), `[{"name":"registry"}]`) {
		t.Errorf("got %v and the patch %s, want a mount and the pull secret", got.Allowed, got.Patch)
	}
	got = f.review(t, `{"serviceAccountName":"gone"}`)
	if got.Allowed || !strings.Contains(got.Result.Message, `error looking up service account shop/gone: serviceaccount "gone" not found`) {
		t.Errorf("got %+v, want that the account is not found", got)
	}
	for _, odd := range []string{"..", "elsewhere", "a/../default"} {
		if got := f.review(t, `{"serviceAccountName":"`+odd+`"}`); got.Allowed {
			t.Errorf("the account %s was found", odd)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if status, body := f.get(t, path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s answers HTTP %d %q, want 200 ok", path, status, body)
		}
	}
	if status, _ := f.get(t, "/admit"); status != http.StatusMethodNotAllowed {
		t.Errorf("GET /admit answers HTTP %d, want 405", status)
	}
	_, metrics := f.get(t, "/metrics")
	for _, want := range []string{
		`serviceaccount_admission_reviews_total{operation="CREATE",result="patched"} 1`, `serviceaccount_admission_reviews_total{operation="CREATE",result="denied"} 4`,
		`serviceaccount_admission_reviews_total{operation="other",result="bad"} 1`, `serviceaccount_admission_review_duration_seconds_bucket{operation="CREATE",le="+Inf"} 5`,
		`serviceaccount_admission_review_duration_seconds_count{operation="other"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s:\n%s", want, metrics)
		}
	}
	log := f.log.String()
	for _, want := range []string{`"msg":"reviewed","httpStatus":200,"took":"`, `"msg":"refused"`, `"uid":"u1","operation":"CREATE","resource":"pods","namespace":"shop","name":"web","dryRun":false,"allowed":true`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log+metrics, bearer) {
		t.Errorf("the token is in the log or the metrics")
	}
}

// The webhook is ready while the API server can be asked, which it does once a period at
// most, however many ask.
func TestReadiness(t *testing.T) {
	const every = 10 * time.Millisecond
	f := start(t)
	f.server.readiness.mu.Lock()
	f.server.readiness.every = every
	f.server.readiness.mu.Unlock()
	wait := func(want int, problem string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(every) {
			status, body := f.get(t, "/readyz")
			if status == want && (want == http.StatusOK || strings.Contains(body, "the API server can't be asked")) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz answers HTTP %d %q, want %d: %s", status, body, want, problem)
			}
		}
	}
	wait(http.StatusOK, "the API server answers that there is no such account")
	write(t, f.options.api.tokenFile, []byte("expired"))
	wait(http.StatusServiceUnavailable, "the API server rejects the token")
	if status, _ := f.get(t, "/livez"); status != http.StatusOK {
		t.Errorf("/livez answers HTTP %d, want 200: a restart doesn't help", status)
	}
	write(t, f.options.api.tokenFile, []byte(bearer))
	wait(http.StatusOK, "the token is a new one")
	f.api.Close()
	wait(http.StatusServiceUnavailable, "the API server is down")
	log := f.log.String()
	if n := strings.Count(log, "not ready"); n != 2 || strings.Count(log, "ready again") != 1 || strings.Contains(log, "expired") {
		t.Errorf("the log has %d outages, want 2 with one end, and no token:\n%s", n, log)
	}
	f.server.readiness.check(t.Context())
	asked := f.server.readiness.asked
	for range 100 {
		f.server.readiness.check(t.Context())
	}
	if since := f.server.readiness.asked.Sub(asked); since != 0 && since < every {
		t.Errorf("asked again after %v", since)
	}
}

func TestCertificateIsReplaced(t *testing.T) {
	f := start(t)
	write(t, f.options.certFile, []byte("half written"))
	f.get(t, "/livez") // with the old one
	if !strings.Contains(f.log.String(), "the old one stays") {
		t.Errorf("the log says nothing of a bad certificate:\n%s", f.log)
	}
	f.trust(writeCertificate(t, f.options, 2))
	if status, _ := f.get(t, "/livez"); status != http.StatusOK {
		t.Errorf("got HTTP %d with the new certificate, want 200", status)
	}
	if err := os.Remove(f.options.keyFile); err != nil {
		t.Fatal(err)
	}
	f.get(t, "/livez")
}

func TestGracefulShutdown(t *testing.T) {
	f := start(t)
	// A request that has begun is answered, though the webhook is told to end.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), f.client.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"); err != nil {
		t.Fatal(err)
	}
	f.server.stopping.Store(true) // what serve does first
	if status, body := f.get(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
		t.Errorf("got HTTP %d %q from /readyz, want 503", status, body)
	}
	if status, _ := f.get(t, "/livez"); status != http.StatusOK {
		t.Errorf("got HTTP %d from /livez, want 200", status)
	}
	if got := f.review(t, `{}`); !got.Allowed {
		t.Error("a review was refused before the port is closed")
	}
	if _, err := io.WriteString(conn, "\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") {
		t.Errorf("got %q (%v), want an answer", answer, err)
	}
	f.stop()
	if err := <-f.done; err != nil {
		t.Errorf("serve() = %v, want nil", err)
	}
	if _, err := f.client.Get(f.url + "/livez"); err == nil {
		t.Error("the port is still open")
	}
}

func TestWhatIsMissingIsFoundOutAtOnce(t *testing.T) {
	for name, change := range map[string]func(*options){
		"no certificate":    func(o *options) { o.certFile += "x" },
		"no key":            func(o *options) { o.keyFile += "x" },
		"key of no form":    func(o *options) { o.keyFile = o.api.tokenFile },
		"no CA":             func(o *options) { o.api.caFile += "x" },
		"CA without a cert": func(o *options) { o.api.caFile = o.api.tokenFile },
		"plain HTTP":        func(o *options) { o.api.url = "http://127.0.0.1" },
	} {
		t.Run(name, func(t *testing.T) {
			o := optionsFor(t)
			writeCertificate(t, o, 1)
			change(&o)
			if _, err := newWebhook(o, slog.New(slog.DiscardHandler)); err == nil {
				t.Error("newWebhook() = nil, want an error")
			}
		})
	}
}

func TestFlags(t *testing.T) {
	if _, err := parse([]string{"extra"}, io.Discard); err == nil || !strings.Contains(err.Error(), `"extra"`) {
		t.Errorf("parse() = %v, want that it did not expect extra", err)
	}
	var mistake bytes.Buffer
	if _, err := parse([]string{"-nonsense"}, &mistake); err == nil || mistake.Len() > 0 {
		t.Errorf("parse(-nonsense) = %v, and wrote %q, want an error alone", err, mistake.String())
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-drain") {
		t.Errorf("parse() = %v with the help %s", err, help.String())
	}
}
