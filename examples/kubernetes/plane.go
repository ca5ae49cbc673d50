package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// The "iss" of the cluster's tokens, and whom they are for.
const (
	issuerURL = "https://kubernetes.default.svc"
	audience  = "https://kubernetes.default.svc"
)

// A plane is the running cluster.
type plane struct {
	options
	log    io.Writer
	folder string // kept between runs
	own    string // temporary: the signer's socket, and folder unless it is kept
	ring   *keyring.Ring
	server *controlplane.ControlPlane
	client *kubernetes.Clientset

	parts   sync.WaitGroup // what runs beside the API server
	running sync.Map       // the processes of the managers, by identity
	serving context.CancelFunc
	failed  chan error // of a part that has ended by itself
}

// start brings the cluster up and returns once it has created its first account. If it
// fails, nothing is left running or on disk.
func start(ctx context.Context, o options, log io.Writer) (_ *plane, err error) {
	p := &plane{options: o, log: log, failed: make(chan error, 1)}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.serving = cancel
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	// A short path: names of sockets are limited in length.
	if p.own, err = os.MkdirTemp("", "kubernetes-"); err != nil {
		return nil, err
	}
	if p.folder = o.data; p.folder == "" {
		p.folder = filepath.Join(p.own, "data")
	}
	if p.ring, err = openRing(ctx, p.folder, o.maxAge); err != nil {
		return nil, err
	}
	// The API server gets signatures and keys from the ring, so that keys can be rotated
	// while it runs.
	socket := filepath.Join(p.own, "signer.sock")
	signer, err := external.NewServer(external.ServerConfig{Signer: p.ring, Keys: p.ring, MaxTokenLifetime: p.ring.MaxTokenLifetime()})
	if err != nil {
		return nil, err
	}
	p.part(func() error { return externalgrpc.Serve(serving, socket, signer) })
	p.server, err = controlplane.Start(ctx, controlplane.Config{
		Issuer: issuerURL, Audiences: []string{audience}, SigningEndpoint: socket,
		Folder: o.data, Port: o.port, Progress: log,
	})
	if err != nil {
		return nil, err
	}
	if p.client, err = kubernetes.NewForConfig(p.server.Admin()); err != nil {
		return nil, err
	}
	if err := p.startWebhook(ctx, serving); err != nil {
		return nil, err
	}
	if err := p.startManagers(serving); err != nil {
		return nil, err
	}
	return p, p.waitFirstAccount(ctx)
}

// part runs a part of the plane until its context is done. A part that returns before
// that is a failure.
func (p *plane) part(run func() error) {
	p.parts.Go(func() {
		if err := run(); err != nil {
			select {
			case p.failed <- err:
			default:
			}
		}
	})
}

// stop stops all parts, in reverse order.
func (p *plane) stop() error {
	p.serving()
	p.parts.Wait()
	var err error
	if p.server != nil {
		err = p.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(p.own))
}

// openRing opens the key ring of the cluster, and adds the first key.
func openRing(ctx context.Context, folder string, maxAge time.Duration) (*keyring.Ring, error) {
	ring, err := keyring.Open(ctx, filepath.Join(folder, "keys"), keyring.Config{MaxAge: maxAge})
	if err != nil {
		return nil, err
	}
	_, err = ring.EnsureSigning(ctx, keys.ES256)
	return ring, err
}

func addKey(ctx context.Context, ring *keyring.Ring) (id string, err error) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		return "", err
	}
	return ring.Add(ctx, key)
}

// waitFirstAccount waits for the account "default" of the Namespace "default", and for
// its token Secret if every account has one.
func (p *plane) waitFirstAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	clients := serviceaccount.FromCoreV1(p.client.CoreV1())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		account, err := clients.GetServiceAccount(ctx, "default", "default")
		if err == nil && p.era == eraSecrets {
			if len(account.Secrets) > 0 {
				_, err = tokensource.WaitPopulated(ctx, clients, "default", account.Secrets[0].Name, tokensource.WaitOptions{})
			} else {
				err = errors.New("it has no token")
			}
		}
		if err == nil {
			return nil
		}
		select {
		case err := <-p.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("waiting for the account default/default: %w (%w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
