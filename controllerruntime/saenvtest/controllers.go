package saenvtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// controllers are those of a cluster that has just ServiceAccounts.
type controllers struct {
	cancel context.CancelFunc
	done   chan error
}

// startControllers starts them with a manager of their own, whose names don't collide
// with those of the program under test. It returns when the namespace default has what
// they make, or when ctx is done. What it returns must be stopped even then.
func startControllers(ctx context.Context, api *rest.Config, signer keys.Signer) (*controllers, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("saenvtest: %w", err)
	}
	skip := true
	mgr, err := manager.New(api, manager.Options{
		Scheme:     scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &skip},
		Logger:     log.Log.WithName("saenvtest"),
	})
	if err != nil {
		return nil, fmt.Errorf("saenvtest: %w", err)
	}
	if err := addControllers(mgr, api.CAData, signer); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	c := &controllers{cancel, make(chan error, 1)}
	go func() { c.done <- mgr.Start(running) }()
	return c, c.wait(ctx, mgr.GetAPIReader())
}

func addControllers(mgr manager.Manager, rootCA []byte, signer keys.Signer) error {
	sa, err := saruntime.New(saruntime.Config{Manager: mgr})
	if err != nil {
		return err
	}
	// The issuer isn't in Secret-based tokens.
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: "https://saenvtest.invalid", Signer: signer})
	if err != nil {
		return fmt.Errorf("saenvtest: %w", err)
	}
	accounts, err1 := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: sa.Reader(), Client: sa.Client()})
	secrets, err2 := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: sa.Reader(), Client: sa.Client(), Issuer: issuer, RootCA: rootCA})
	publisher, err3 := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: sa.Reader(), Client: sa.Client(), RootCA: rootCA})
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("saenvtest: %w", err)
	}
	for _, c := range []sacontroller.Controller{accounts, secrets, publisher} {
		if err := sa.Add(c, saruntime.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when the namespace default has an account and the CA bundle.
func (c *controllers) wait(ctx context.Context, reader client.Reader) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := reader.Get(ctx, client.ObjectKey{Namespace: "default", Name: "default"}, &corev1.ServiceAccount{})
		if err == nil {
			err = reader.Get(ctx, client.ObjectKey{Namespace: "default", Name: "kube-root-ca.crt"}, &corev1.ConfigMap{})
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("saenvtest: the controllers have not begun: %w", err)
		case ended := <-c.done:
			c.done <- ended
			return fmt.Errorf("saenvtest: the controllers have ended: %w", errors.Join(ended, err))
		case <-tick.C:
		}
	}
}

func (c *controllers) stop() error {
	c.cancel()
	if err := <-c.done; err != nil {
		return fmt.Errorf("saenvtest: stopping the controllers: %w", err)
	}
	return nil
}
