package serviceaccount_test

import (
	"context"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// CertificatesV1 is the Reader and the Client of the publisher.
var _ interface {
	rootca.TrustBundlesReader
	rootca.TrustBundlesClient
} = (*serviceaccount.CertificatesV1)(nil)

// Each method is one request of the typed client.
func TestCertificatesV1(t *testing.T) {
	ctx, cluster := t.Context(), new(fake.Cluster)
	clients := serviceaccount.FromCertificatesV1(cluster.CertificatesV1())
	bundle := &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	_, err := clients.CreateClusterTrustBundle(ctx, bundle)
	if err == nil || !strings.Contains(err.Error(), "at least one trust anchor") {
		t.Errorf("CreateClusterTrustBundle() = %v, want the answer of the API server", err)
	}
	for _, signer := range []string{"", "example.com/ca"} {
		if list, err := clients.ListClusterTrustBundles(ctx, signer); err != nil || len(list) != 0 {
			t.Errorf("ListClusterTrustBundles(%q) = %v, %v", signer, list, err)
		}
	}
	_, err1 := clients.GetClusterTrustBundle(ctx, "x")
	_, err2 := clients.UpdateClusterTrustBundle(ctx, bundle)
	_, err3 := clients.PatchClusterTrustBundle(ctx, "x", types.MergePatchType, []byte("{}"))
	err4 := clients.DeleteClusterTrustBundle(ctx, "x", metav1.DeleteOptions{})
	for i, err := range []error{err1, err2, err3, err4} {
		if err == nil || !strings.Contains(err.Error(), `clustertrustbundles.certificates.k8s.io "x" not found`) {
			t.Errorf("call %d: %v, want NotFound", i, err)
		}
	}
	want := "create list list get update patch delete"
	var verbs []string
	for _, a := range cluster.Actions() {
		verbs = append(verbs, a.Verb)
	}
	if got := strings.Join(verbs, " "); got != want {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// Without a client there is an error, never a panic.
func TestCertificatesV1WithoutClient(t *testing.T) {
	var missing *noCertificates
	for _, clients := range []*serviceaccount.CertificatesV1{
		serviceaccount.FromCertificatesV1(missing), new(serviceaccount.CertificatesV1), serviceaccount.CertificatesByTenant(nil),
		serviceaccount.CertificatesByTenant(func(context.Context) (*serviceaccount.CertificatesV1, error) { return nil, nil }),
	} {
		if _, err := clients.ListClusterTrustBundles(context.Background(), ""); err == nil || !strings.Contains(err.Error(), "there is no client to call") {
			t.Errorf("ListClusterTrustBundles() = %v, want an error", err)
		}
	}
}

type noCertificates struct{}

func (*noCertificates) ClusterTrustBundles() *fake.Client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle] {
	panic("called")
}
