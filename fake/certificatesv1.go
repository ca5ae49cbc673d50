package fake

import (
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// CertificatesV1 gives access to a [Cluster] in the shape of client-go's
// CertificatesV1(), as far as a Cluster has its kinds.
type CertificatesV1 struct{ cluster *Cluster }

// CertificatesV1 returns access to c in the shape of client-go's.
func (c *Cluster) CertificatesV1() CertificatesV1 { return CertificatesV1{c} }

// ClusterTrustBundles returns a client of the ClusterTrustBundles.
func (v CertificatesV1) ClusterTrustBundles() *Client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle] {
	return &Client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle]{v.cluster, object.ClusterTrustBundles, ""}
}
