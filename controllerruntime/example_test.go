package saruntime_test

import (
	"context"
	"crypto"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubesa/serviceaccount/admission"
	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// A program that fills token Secrets and admits pods: all but its configuration.
func Example() {
	run := func(ctx context.Context, config *rest.Config, key crypto.Signer) error {
		mgr, err := ctrl.NewManager(config, ctrl.Options{LeaderElection: true, LeaderElectionID: "example"})
		if err != nil {
			return err
		}
		sa, err := saruntime.New(saruntime.Config{Manager: mgr})
		if err != nil {
			return err
		}
		signer, err := keys.NewSigner(key)
		if err != nil {
			return err
		}
		issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: "https://example.com", Signer: signer})
		if err != nil {
			return err
		}
		controller, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: sa.Reader(), Client: sa.Client(), Issuer: issuer})
		if err != nil {
			return err
		}
		if err := sa.Add(controller, saruntime.Options{Controller: saruntime.ControllerOptions{MaxConcurrentReconciles: 5}}); err != nil {
			return err
		}
		plugin, err := admission.New(sa.Admission())
		if err != nil {
			return err
		}
		if err := sa.AddPodWebhook(plugin, saruntime.WebhookOptions{}); err != nil {
			return err
		}
		return mgr.Start(ctx)
	}
	_ = run
}

// What a manager's GetClient returns reads from a cache, so it isn't live access.
func ExampleNewClient() {
	config := &rest.Config{Host: "https://127.0.0.1:6443"}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Metrics: noMetrics})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = saruntime.NewClient(mgr.GetClient())
	fmt.Println(err)

	direct, err := client.New(config, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	live, err := saruntime.NewClient(direct)
	fmt.Printf("%T %v\n", live, err)

	// Output:
	// saruntime: NewClient.c reads from a *cache.informerCache, want a client without a cache
	// *serviceaccount.CoreV1 <nil>
}

// The constructor names every mistake.
func ExampleNew() {
	_, err := saruntime.New(saruntime.Config{})
	fmt.Println(err)

	// Output:
	// saruntime: Config.Manager is required, want what ctrl.NewManager returns
}

// What publishes or projects ClusterTrustBundles works where there is no manager.
func ExampleNewCertificatesClient() {
	direct := clientfake.NewClientBuilder().Build() // or client.New
	certificates, err := saruntime.NewCertificatesClient(direct)
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: "…"}}
	bundle.Name = "anchors"
	if _, err := certificates.CreateClusterTrustBundle(context.Background(), bundle); err != nil {
		fmt.Println(err)
		return
	}
	stored, err := certificates.GetClusterTrustBundle(context.Background(), "anchors")
	fmt.Println(stored.Spec.TrustBundle, err)

	// Output:
	// … <nil>
}
