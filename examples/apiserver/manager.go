package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// leaseTenant has the lease of the managers, in its Namespace kube-system.
const leaseTenant = "root"

// A controllers is one manager for all tenants.
type controllers struct {
	manager *manager.Manager
	clients *tenant.Set[*serviceaccount.CoreV1]
	admin   *rest.Config
}

func newControllers(admin *rest.Config, ring *keyring.Ring, rootCA []byte, identity string, log io.Writer) (*controllers, error) {
	c := &controllers{clients: &tenant.Set[*serviceaccount.CoreV1]{}, admin: admin}
	leases, err := kubernetes.NewForConfig(inTenant(admin, leaseTenant))
	if err != nil {
		return nil, err
	}
	c.manager, err = manager.New(manager.Config{
		Client: leases, Tenants: true,
		LeaderElection: &manager.LeaderElection{
			Namespace: "kube-system", Name: "serviceaccount-manager", Identity: identity,
			LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
		},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	issuer, err := tokenissuer.New(tokenissuer.Config{
		Issuer: issuerURL, Signer: ring, ClusterClaim: "clusterName",
	})
	if err != nil {
		return nil, err
	}
	client, reader := serviceaccount.ByTenant(c.clients.Of), c.manager.Reader()
	accounts, err1 := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: client})
	secrets, err2 := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: client, Issuer: issuer, RootCA: rootCA})
	publisher, err3 := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: reader, Client: client, RootCA: rootCA})
	tracker, err4 := legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: reader, Client: client})
	cleaner, err5 := legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: reader, Client: client})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	for _, controller := range []sacontroller.Controller{accounts, secrets, publisher, tracker, cleaner} {
		if err := c.manager.Add(controller, manager.Options{}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// join runs the controllers for a tenant too.
func (c *controllers) join(name string) error {
	client, err := kubernetes.NewForConfig(inTenant(c.admin, name))
	if err != nil {
		return err
	}
	c.clients.Join(name, serviceaccount.FromCoreV1(client.CoreV1()))
	return c.manager.Join(manager.Tenant{Name: name, Client: client})
}

// run runs the controllers until ctx is done.
func (c *controllers) run(ctx context.Context) error { return c.manager.Run(ctx) }

// inTenant returns the configuration of a client of a tenant.
func inTenant(config *rest.Config, name string) *rest.Config {
	config = rest.CopyConfig(config)
	config.Host += clustersPrefix + name
	return config
}
