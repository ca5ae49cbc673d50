package sacontroller_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http/httptest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Check the content of a CA file before it is published: it may have been read
// while it was being written.
func ExampleCheckCABundle() {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	fmt.Println(sacontroller.CheckCABundle(bundle))
	fmt.Println(sacontroller.CheckCABundle(bundle[:len(bundle)/2]))
	fmt.Println(sacontroller.CheckCABundle(nil))

	// Output:
	// <nil>
	// sacontroller: CA bundle has a damaged block beside 0 certificates, want it complete
	// sacontroller: CA bundle holds no certificate, want at least one in PEM
}

// Publish the CA of the API server as a ClusterTrustBundle, which Pods project by its
// signer.
func ExampleNewTrustBundlePublisher() {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	publisher, err := sacontroller.NewTrustBundlePublisher(sacontroller.TrustBundlePublisherConfig{
		Reader: cluster, Client: cluster,
		RootCA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cluster.Settle(context.Background(), publisher); err != nil {
		fmt.Println(err)
		return
	}
	bundles, err := cluster.ListClusterTrustBundles(context.Background(), sacontroller.ServingSigner)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range bundles {
		fmt.Println(b.Spec.SignerName, len(b.Name))
	}

	// Output:
	// kubernetes.io/kube-apiserver-serving 61
}

// A file can be a good CA bundle for ConfigMaps, but not for a ClusterTrustBundle.
func ExampleCheckTrustAnchors() {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	fmt.Println(sacontroller.CheckTrustAnchors(bundle))
	twice := append(bundle, bundle...)
	fmt.Println(sacontroller.CheckCABundle(twice))
	fmt.Println(sacontroller.CheckTrustAnchors(twice))

	// Output:
	// <nil>
	// <nil>
	// sacontroller: CA bundle: certificate 2, "O=Acme Co", is the same as 1, want each once in a ClusterTrustBundle
}
