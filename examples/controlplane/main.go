// Command controlplane is a control plane that is not kube-apiserver: namespaces, accounts, Secrets
// and pods over HTTP, in a file on disk. It shows how a store and a loop of one's own get the
// service-account machinery of Kubernetes. README.md has more.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
)

// A plane is a store and what works on it.
type plane struct {
	store         *store
	accounts      *sacontroller.ServiceAccounts
	loops         []*loop
	plugin        *admission.Plugin
	authenticator *tokens.Authenticator
	requester     *tokens.TokenRequester
	discovery     *keys.Discovery
}

func newPlane(ctx context.Context, folder, issuerURL string) (*plane, error) {
	ring, err := openRing(ctx, filepath.Join(folder, "keys"))
	if err != nil {
		return nil, err
	}
	p, audiences := new(plane), []string{issuerURL}
	s, err := openStore(filepath.Join(folder, "objects.db"), p.changed)
	if err != nil {
		return nil, err
	}
	issuer, err := tokens.NewIssuer(tokens.IssuerConfig{Issuer: issuerURL, Signer: ring})
	if err != nil {
		return nil, err
	}
	accounts, err1 := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: s, Client: s})
	secrets, err2 := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: s, Client: s, Issuer: issuer})
	plugin, err3 := admission.New(admission.Config{ServiceAccounts: s, Strict: true})
	authenticator, err4 := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: audiences, APIAudiences: audiences, Keys: ring, ServiceAccounts: s, Secrets: s, Pods: s, Legacy: true})
	requester, err5 := tokens.NewTokenRequester(tokens.TokenRequesterConfig{
		Issuer: issuer, APIAudiences: audiences, ServiceAccounts: s, Secrets: s, Pods: s})
	discovery, err6 := keys.NewDiscovery(ctx, keys.DiscoveryConfig{Issuer: issuerURL, JWKSURI: issuerURL + keys.JWKSPath, Keys: ring})
	*p = plane{s, accounts, []*loop{newLoop(accounts), newLoop(secrets)}, plugin, authenticator, requester, discovery}
	return p, errors.Join(err1, err2, err3, err4, err5, err6)
}

// openRing opens the keys in folder. The first one is made here; to replace it is another program's job.
func openRing(ctx context.Context, folder string) (*keys.Ring, error) {
	ring, err := keys.OpenRing(folder, keys.RingConfig{})
	if err != nil {
		return nil, err
	}
	if len(ring.Keys()) == 0 {
		key, err := keys.Generate(keys.ES256)
		if err != nil {
			return nil, err
		}
		if _, err := ring.Add(ctx, key); err != nil {
			return nil, err
		}
	}
	if first := ring.Keys()[0]; len(ring.Keys()) == 1 && first.State() == keys.Published {
		err = ring.Promote(ctx, first.ID)
	}
	return ring, err
}

// changed tells the loops of a write.
func (p *plane) changed(event sacontroller.Event) {
	for _, l := range p.loops {
		l.add(l.controller.Due(event)...)
	}
}

// run serves on l until ctx is done, and ends when all requests are answered.
func (p *plane) run(ctx context.Context, l net.Listener) error {
	defer p.store.db.Close()
	var running sync.WaitGroup
	defer running.Wait()
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for _, l := range p.loops {
		running.Go(func() { l.run(working) })
	}
	err := errors.Join(replay[corev1.Namespace](ctx, p.store), replay[corev1.ServiceAccount](ctx, p.store), replay[corev1.Secret](ctx, p.store))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(working, 15*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

func main() {
	folder := flag.String("data", "state", "`folder` of the objects and keys")
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to serve on, without TLS")
	issuer := flag.String("issuer", "https://controlplane.example", "`URL` that tokens are issued under")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := newPlane(ctx, *folder, *issuer)
	var l net.Listener
	if err == nil {
		l, err = net.Listen("tcp", *listen)
	}
	if err == nil {
		slog.Info("serving", "url", "http://"+l.Addr().String())
		err = p.run(ctx, l)
	}
	if err != nil {
		slog.Error("controlplane", "err", err)
		os.Exit(1)
	}
}
