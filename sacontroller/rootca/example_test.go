package rootca_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http/httptest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Every Namespace gets the CA bundle, and the new one after a rotation.
func ExampleNewConfigMaps() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	publisher := satest.Must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{
		Reader: cluster, Client: cluster, RootCA: []byte("-----BEGIN CERTIFICATE-----…"),
	}))
	fmt.Println(cluster.Settle(ctx, publisher))
	m, err := cluster.GetConfigMap(ctx, "ci", "kube-root-ca.crt")
	fmt.Println(m.Data["ca.crt"], err)

	// A half-written file doesn't replace it.
	fmt.Println(publisher.SetRootCA([]byte("-----BEGIN CERTIFICATE-----\nMIIB")))
	// Output:
	// <nil>
	// -----BEGIN CERTIFICATE-----… <nil>
	// rootca: CA bundle has a damaged block beside 0 certificates, want it complete
}

// Publish the CA of the API server as a ClusterTrustBundle, which Pods project by its
// signer.
func ExampleNewTrustBundles() {
	server := httptest.NewTLSServer(nil) // for its certificate
	defer server.Close()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	publisher, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{
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
	bundles, err := cluster.ListClusterTrustBundles(context.Background(), rootca.ServingSigner)
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

	fmt.Println(rootca.CheckTrustAnchors(bundle))
	twice := append(bundle, bundle...)
	fmt.Println(sacontroller.CheckCABundle(twice))
	fmt.Println(rootca.CheckTrustAnchors(twice))

	// Output:
	// <nil>
	// <nil>
	// rootca: CA bundle: certificate 2, "O=Acme Co", is the same as 1, want each once in a ClusterTrustBundle
}
