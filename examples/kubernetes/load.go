package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A load is a number of clients that use old and new tokens all the time, and count
// rejected ones.
type load struct {
	t      *tour
	client *http.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	tokens []string

	issued, accepted, refused, unreached atomic.Int64
	reason                               atomic.Value // of the last rejection
}

// How many clients a load has, how long each pauses, and how many tokens they share.
const (
	loadClients = 4
	loadPause   = 20 * time.Millisecond
	loadTokens  = 100
)

func (t *tour) startLoad(ctx context.Context) *load {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(t.server.CA())
	ctx, cancel := context.WithCancel(ctx)
	l := &load{t: t, cancel: cancel, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true},
	}}
	for range loadClients {
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if n%5 == 0 {
					l.issue(ctx)
				}
				l.use(ctx, n)
				time.Sleep(loadPause)
			}
		})
	}
	return l
}

// issue requests another token.
func (l *load) issue(ctx context.Context) {
	answer, err := l.t.client.CoreV1().ServiceAccounts("shop").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		if ctx.Err() == nil {
			l.unreached.Add(1)
		}
		return
	}
	l.issued.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) < loadTokens {
		l.tokens = append(l.tokens, answer.Status.Token)
	} else { // the oldest half stays
		l.tokens[loadTokens/2+int(l.issued.Load())%(loadTokens/2)] = answer.Status.Token
	}
}

// use sends one of the tokens to the API server, at a path for authenticated users.
func (l *load) use(ctx context.Context, n int) {
	l.mu.Lock()
	if len(l.tokens) == 0 {
		l.mu.Unlock()
		return
	}
	token := l.tokens[n*7%len(l.tokens)]
	l.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.t.server.Admin().Host+"/api", nil)
	if err != nil {
		l.unreached.Add(1)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.client.Do(r)
	if err != nil {
		if ctx.Err() == nil {
			l.unreached.Add(1)
		}
		return
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		l.accepted.Add(1)
	case http.StatusUnauthorized:
		l.refused.Add(1)
		l.reason.Store(string(body))
	default: // it shuts down, or has just started and has no roles yet
		l.unreached.Add(1)
	}
}

// wait returns when n more requests have been answered.
func (l *load) wait(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	until := l.accepted.Load() + n
	for l.accepted.Load() < until && l.refused.Load() == 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the clients get no answers: %s", l)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// stop stops the clients. It returns an error if a token was rejected.
func (l *load) stop() error {
	l.cancel()
	l.done.Wait()
	l.client.CloseIdleConnections()
	if l.refused.Load() > 0 {
		return fmt.Errorf("tokens were rejected: %s; the last one: %v", l, l.reason.Load())
	}
	return nil
}

func (l *load) String() string {
	return fmt.Sprintf("%d tokens issued, %d requests accepted, %d rejected, %d while the API server was unavailable",
		l.issued.Load(), l.accepted.Load(), l.refused.Load(), l.unreached.Load())
}

// decode returns a part of a token.
func decode(part string) (string, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return string(data), err
}
