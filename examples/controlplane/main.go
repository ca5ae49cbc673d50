// Command controlplane is a control plane that is not kube-apiserver: namespaces, accounts, Secrets
// and pods over HTTP, stored in a file. It shows how to add the service-account machinery of
// Kubernetes to your own store and loop. README.md has more.
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
	"strings"
	"sync"
	"syscall"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// must ends the program if a constructor fails.
func must[T any](part T, err error) T {
	if err != nil {
		slog.Error("controlplane", "err", err)
		os.Exit(1)
	}
	return part
}

func main() {
	folder := flag.String("data", "state", "`folder` of the objects and keys")
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to serve on, without TLS")
	issuer := flag.String("issuer", "https://controlplane.example", "`URL` that tokens are issued under")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// The keys. The first is generated here; keyring.Ring says how to rotate it.
	ring := must(keyring.Open(ctx, filepath.Join(*folder, "keys"), keyring.Config{}))
	must(ring.EnsureSigning(ctx, keys.ES256))

	// The store, and the controllers that it tells of its writes.
	var loops []*loop
	s := must(openStore(filepath.Join(*folder, "objects.db"), func(event sacontroller.Change) {
		for _, l := range loops {
			l.add(l.Due(event)...)
		}
	}))
	signer := must(tokenissuer.New(tokenissuer.Config{Issuer: *issuer, Signer: ring}))
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: s, Client: s}))
	secrets := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: s, Client: s, Issuer: signer}))
	for _, c := range []sacontroller.Controller{accounts, secrets} {
		loops = append(loops, &loop{Controller: c, wake: make(chan struct{}, 1), due: map[sacontroller.Key]bool{}})
	}
	must(s, errors.Join(replay[corev1.Namespace](ctx, s), replay[corev1.ServiceAccount](ctx, s), replay[corev1.Secret](ctx, s)))
	var working sync.WaitGroup
	for _, l := range loops {
		working.Go(func() { l.run(ctx) })
	}

	// Wait until all requests are answered and no controller works any more.
	api := routes(s, ring, signer, accounts, *issuer)
	server := &http.Server{Handler: api, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	listener := must(net.Listen("tcp", *listen))
	working.Go(func() {
		<-ctx.Done()
		must(server, server.Shutdown(context.WithoutCancel(ctx)))
	})
	slog.Info("serving", "url", "http://"+listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		must(server, err)
	}
	working.Wait()
	must(s, s.db.Close())
}

// routes is the API. It has neither authentication nor authorization: put them in front.
func routes(s *store, ring *keyring.Ring, signer *tokenissuer.Issuer,
	accounts *sacontroller.ServiceAccounts, issuer string) http.Handler {
	plugin := must(admission.New(admission.Config{ServiceAccounts: s, Strict: true}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{issuer}, APIAudiences: []string{issuer}, Keys: ring, ServiceAccounts: s, Secrets: s, Pods: s, Legacy: true}))
	requester := must(tokenrequest.New(tokenrequest.Config{
		Issuer: signer, APIAudiences: []string{issuer}, ServiceAccounts: s, Secrets: s, Pods: s}))
	publisher := must(discovery.NewPublisher(discovery.PublisherConfig{
		Issuer: issuer, JWKSURI: issuer + discovery.JWKSPath, Keys: ring,
	}))
	mux, namespaced := http.NewServeMux(), "/api/v1/namespaces/{namespace}/"
	serve(mux, s, "/api/v1/namespaces", func(ctx context.Context, o *corev1.Namespace) (*corev1.Namespace, error) {
		o.Status.Phase = corev1.NamespaceActive
		made, err := write(ctx, s, o, true)
		if err == nil {
			err = accounts.Ensure(context.WithoutCancel(ctx), o.Name) // pods may come at once
		}
		return made, err
	})
	serve(mux, s, namespaced+"serviceaccounts", s.CreateServiceAccount)
	serve(mux, s, namespaced+"secrets", s.CreateSecret)
	serve(mux, s, namespaced+"pods", func(ctx context.Context, o *corev1.Pod) (*corev1.Pod, error) {
		r := admission.Request{Operation: admissionv1.Create, Namespace: o.Namespace, Name: o.Name, Pod: o}
		if err := plugin.Admit(ctx, r); err != nil {
			return nil, err
		}
		return write(ctx, s, o, true)
	})
	type tokenRequest = authenticationv1.TokenRequest
	answer(mux, "POST "+namespaced+"serviceaccounts/{name}/token", func(r *http.Request, o *tokenRequest) (any, error) {
		return requester.Create(r.Context(), r.PathValue("namespace"), r.PathValue("name"), o)
	})
	mux.Handle("/apis/authentication.k8s.io/v1/tokenreviews", must(tokenreview.NewHandler(tokenreview.HandlerConfig{
		Verifier: authenticator,
	})))
	mux.Handle(discovery.ConfigPath, publisher)
	mux.Handle(discovery.JWKSPath, publisher)
	answer(mux, "GET /whoami", func(r *http.Request, _ *struct{}) (any, error) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		id, err := authenticator.Authenticate(r.Context(), token)
		if err == nil {
			return id.UserInfo(), nil
		}
		if _, unavailable := errors.AsType[*tokens.UnavailableError](err); !unavailable {
			err = apierrors.NewUnauthorized(err.Error())
		}
		return nil, err
	})
	return mux
}
