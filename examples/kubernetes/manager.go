package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// managerCommand is the subcommand that runs the controllers.
const managerCommand = "manager"

// The Lease for leader election.
const (
	leaseNamespace = "kube-system"
	leaseName      = "serviceaccount-manager"
)

// runManager runs the controllers for accounts and tokens until ctx is done, in place of
// those of kube-controller-manager.
func runManager(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(managerCommand, flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "`file` that says how to reach the API server")
	keysFolder := flags.String("keys", "", "`folder` of the keys")
	rootCAFile := flags.String("root-ca", "", "`file` of the CA bundle for pods")
	era := flags.String("era", eraProjected, "1.20 gives every account a token Secret")
	identity := flags.String("identity", "manager", "tells the replicas apart")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // API Priority and Fairness is enough
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	rootCA, err := os.ReadFile(*rootCAFile)
	if err != nil {
		return err
	}
	ring, err := keyring.Open(ctx, *keysFolder, keyring.Config{})
	if err != nil {
		return err
	}
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: issuerURL, Signer: ring})
	if err != nil {
		return err
	}
	m, err := manager.New(manager.Config{
		Client: client,
		LeaderElection: &manager.LeaderElection{
			Namespace: leaseNamespace, Name: leaseName, Identity: *identity,
			LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	if err := addControllers(m, client, issuer, rootCA, *era == eraSecrets); err != nil {
		return err
	}
	return m.Run(ctx)
}

func addControllers(m *manager.Manager, client kubernetes.Interface, issuer *tokenissuer.Issuer, rootCA []byte, autoGenerate bool) error {
	clients := serviceaccount.FromCoreV1(client.CoreV1())
	accounts, err1 := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: clients})
	secrets, err2 := sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: m.Reader(), Client: clients, Issuer: m.CountIssued(issuer), RootCA: rootCA, AutoGenerate: autoGenerate,
	})
	publisher, err3 := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: m.Reader(), Client: clients, RootCA: rootCA})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	return errors.Join(
		m.Add(accounts, manager.Options{}),
		m.Add(secrets, manager.Options{Workers: 5}),
		m.Add(publisher, manager.Options{}),
	)
}
