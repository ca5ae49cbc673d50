package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/prometheus/client_golang/prometheus"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
)

// rootCAPeriod is how often the CA file is looked at.
const rootCAPeriod = 10 * time.Second

// namespaceSyncs is how many Namespaces get their accounts, or their bundle, at a
// time: a call for one that hangs must not hold up the others.
const namespaceSyncs = 2

// A setup holds what the controllers that options turn on have in common.
type setup struct {
	log    *slog.Logger
	rootCA []byte
	apply  []func([]byte) error // for another CA bundle

	cleanups *prometheus.CounterVec
}

// newCleanups returns the counter that the module prometheus has for a cleaner: the alert
// ServiceAccountCleanupFails is written with it.
func newCleanups() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "serviceaccount_legacy_token_cleanups_total",
		Help: "Secrets with unused tokens. action is invalidate or delete, result success or error.",
	}, []string{"action", "result"})
	for _, action := range []legacytoken.Action{legacytoken.Invalidate, legacytoken.Delete} {
		countCleanup(c, action, nil).Add(0) // a counter that appears with its first error has no increase
		countCleanup(c, action, errors.New("")).Add(0)
	}
	return c
}

func countCleanup(c *prometheus.CounterVec, action legacytoken.Action, err error) prometheus.Counter {
	result := "success"
	if err != nil {
		result = "error"
	}
	return c.WithLabelValues(strings.ToLower(string(action)), result)
}

// newSetup adds the controllers that opts turns on to m. Each gets a client of its
// own, as in kube-controller-manager: the limit of requests is that of a client, and one
// that is busy holds up neither the others nor the lease. clientCA is the bundle to use
// if opts names no file (CTL-2).
func newSetup(ctx context.Context, opts *options, m *manager.Manager, newClient func() (kubernetes.Interface, error), clientCA []byte, log *slog.Logger) (*setup, error) {
	s := &setup{log: log, rootCA: clientCA, cleanups: newCleanups()}
	if opts.rootCAFile != "" {
		var err error
		if s.rootCA, err = readRootCA(opts.rootCAFile); err != nil {
			return nil, err
		}
	}
	for _, add := range []func(*options, *manager.Manager, *serviceaccount.CoreV1) error{
		s.addTokens, s.addAccounts, s.addPublisher, s.addCleaner, s.addTracker,
	} {
		client, err := newClient()
		if err != nil {
			return nil, err
		}
		if err := add(opts, m, serviceaccount.FromCoreV1(client.CoreV1())); err != nil {
			return nil, err
		}
	}
	client, err := newClient()
	if err != nil {
		return nil, err
	}
	return s, s.addTrustBundles(ctx, opts, m, client)
}

func readRootCA(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = sacontroller.CheckCABundle(data)
	}
	if err != nil {
		return nil, fmt.Errorf("error parsing root-ca-file at %s: %w", file, err)
	}
	return data, nil
}

func (s *setup) addTokens(opts *options, m *manager.Manager, clients *serviceaccount.CoreV1) error {
	if !opts.controllers[tokensName] {
		return nil
	}
	if opts.signingKeyFile == "" {
		s.log.Info("Controller is disabled: there is no --service-account-private-key-file", "controller", tokensName) // CTL-1
		return nil
	}
	key, err := keys.ReadPrivateKeyFile(opts.signingKeyFile)
	if err != nil {
		return fmt.Errorf("error reading key for service account token controller: %w", err)
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		return err
	}
	// An Issuer needs a name for bound tokens, of which this program issues none.
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: "https://serviceaccount-manager.invalid", Signer: signer})
	if err != nil {
		return err
	}
	c, err := sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: m.Reader(), Client: clients, Issuer: m.CountIssued(issuer),
		RootCA: s.rootCA, AutoGenerate: opts.autoGenerate,
	})
	if err != nil {
		return err
	}
	s.apply = append(s.apply, c.SetRootCA)
	return m.Add(c, manager.Options{Workers: opts.tokenSyncs})
}

func (s *setup) addAccounts(opts *options, m *manager.Manager, clients *serviceaccount.CoreV1) error {
	if !opts.controllers[accountsName] {
		return nil
	}
	c, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: clients})
	if err != nil {
		return err
	}
	return m.Add(c, manager.Options{Workers: namespaceSyncs})
}

func (s *setup) addPublisher(opts *options, m *manager.Manager, clients *serviceaccount.CoreV1) error {
	if !opts.controllers[publisherName] {
		return nil
	}
	if len(s.rootCA) == 0 {
		s.log.Info("Controller is disabled: there is no --root-ca-file, and no CA in the kubeconfig", "controller", publisherName)
		return nil
	}
	c, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: m.Reader(), Client: clients, RootCA: s.rootCA})
	if err != nil {
		return err
	}
	s.apply = append(s.apply, c.SetRootCA)
	return m.Add(c, manager.Options{Workers: namespaceSyncs})
}

// addTrustBundles adds the publisher of ClusterTrustBundles if there is something to
// publish that the API server takes.
func (s *setup) addTrustBundles(ctx context.Context, opts *options, m *manager.Manager, client kubernetes.Interface) error {
	if !opts.controllers[bundlesName] {
		return nil
	}
	disabled := func(reason string) error {
		s.log.Info("Controller is disabled: "+reason, "controller", bundlesName)
		return nil
	}
	if len(s.rootCA) == 0 { // CTB-3
		return disabled("there is no --root-ca-file, and no CA in the kubeconfig")
	}
	if err := rootca.CheckTrustAnchors(s.rootCA); err != nil { // CTB-24
		return disabled(err.Error())
	}
	served, err := servesTrustBundles(ctx, client.Discovery())
	if err != nil {
		return fmt.Errorf("discovery failed for ClusterTrustBundle: %w", err)
	}
	if !served {
		return disabled("the API server has no ClusterTrustBundles of " + certificatesv1.SchemeGroupVersion.String())
	}
	clients := serviceaccount.FromCertificatesV1(client.CertificatesV1())
	c, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: m.Reader(), Client: clients, RootCA: s.rootCA})
	if err != nil {
		return err
	}
	s.apply = append(s.apply, c.SetRootCA)
	return m.Add(c, manager.Options{})
}

// How often, and how long, an API server that doesn't answer is asked.
const (
	discoveryPause    = time.Second
	discoveryAttempts = 10
)

// servesTrustBundles reports whether the API server has ClusterTrustBundles of v1
// (CTB-9). One that starts at the same time is waited for.
func servesTrustBundles(ctx context.Context, server discovery.DiscoveryInterface) (bool, error) {
	for attempt := 1; ; attempt++ {
		list, err := server.ServerResourcesForGroupVersion(certificatesv1.SchemeGroupVersion.String())
		switch {
		case err == nil:
			return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "clustertrustbundles" }), nil
		case apierrors.IsNotFound(err):
			return false, nil
		case attempt == discoveryAttempts:
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(discoveryPause):
		}
	}
}

func (s *setup) addCleaner(opts *options, m *manager.Manager, clients *serviceaccount.CoreV1) error {
	if !opts.controllers[cleanerName] {
		return nil
	}
	c, err := legacytoken.NewCleaner(legacytoken.CleanerConfig{
		Reader: m.Reader(), Client: clients, CleanupPeriod: opts.legacyCleanUpPeriod, Observe: s.observe,
	})
	if err != nil {
		return err
	}
	return m.Add(c, manager.Options{})
}

func (s *setup) addTracker(opts *options, m *manager.Manager, clients *serviceaccount.CoreV1) error {
	if !opts.controllers[trackerName] {
		return nil
	}
	c, err := legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: m.Reader(), Client: clients})
	if err != nil {
		return err
	}
	return m.Add(c, manager.Options{})
}

// observe logs and counts what the cleaner did, and its failures.
func (s *setup) observe(ctx context.Context, e legacytoken.Event) {
	if e.Report.Problem != "" {
		s.log.InfoContext(ctx, "No cleanup", "problem", e.Report.Problem)
		return
	}
	for _, d := range e.Report.Decisions {
		if d.Action != legacytoken.Keep {
			countCleanup(s.cleanups, d.Action, d.Err).Inc()
		}
		if d.Err != nil {
			s.log.WarnContext(ctx, "Cleanup failed", "namespace", d.Namespace, "secret", d.Name, "error", d.Err)
		} else if d.Action != legacytoken.Keep {
			s.log.InfoContext(ctx, "Cleaned up", "namespace", d.Namespace, "secret", d.Name, "action", d.Action, "reason", d.Reason)
		}
	}
}

// followRootCA applies the content of file each time that it has changed, until ctx
// is done. An incomplete bundle is logged once and otherwise ignored: it may be half
// written (C11).
func (s *setup) followRootCA(ctx context.Context, file string) {
	ticker := time.NewTicker(rootCAPeriod)
	defer ticker.Stop()
	seen := s.rootCA
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(file)
		if err == nil && bytes.Equal(data, seen) {
			continue
		}
		if err == nil {
			seen = data
			err = sacontroller.CheckCABundle(data)
		}
		if err != nil {
			s.log.Warn("Keeping the CA bundle as it was", "file", file, "error", err)
			continue
		}
		for _, apply := range s.apply {
			if err := apply(data); err != nil {
				s.log.Error("The CA bundle was rejected", "file", file, "error", err)
			}
		}
		s.log.Info("The CA bundle has changed", "file", file)
	}
}
