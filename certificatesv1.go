package serviceaccount

import (
	"context"
	"reflect"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// CertificatesV1 gives live access to the ClusterTrustBundles of a Kubernetes API server,
// as [CoreV1] does to other objects: it is Reader and Client of
// rootca.TrustBundles. [FromCertificatesV1] returns one; the methods of the zero value
// return an error. It is safe for concurrent use if the client below it is.
type CertificatesV1 struct {
	bundles resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList]
}

// FromCertificatesV1 adapts client-go's CertificatesV1() client, real or fake, without
// making this module depend on client-go: the type argument is inferred.
//
//	bundles := serviceaccount.FromCertificatesV1(clientset.CertificatesV1())
//	controller, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: bundles, Client: bundles, …})
//
// It does no I/O. Kubernetes has had the version v1 of ClusterTrustBundles since 1.37; an
// older API server answers with 404. If certificates is a nil pointer, every method of the
// result returns an error.
func FromCertificatesV1[B Resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList]](certificates interface{ ClusterTrustBundles() B }) *CertificatesV1 {
	if v := reflect.ValueOf(certificates); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return new(CertificatesV1)
	}
	return &CertificatesV1{resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList]{
		in:    inOne[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList](func(string) B { return certificates.ClusterTrustBundles() }),
		items: trustBundlesOf,
	}}
}

// CertificatesByTenant is [ByTenant] for CertificatesV1.
func CertificatesByTenant(of func(ctx context.Context) (*CertificatesV1, error)) *CertificatesV1 {
	if of == nil {
		return new(CertificatesV1)
	}
	return &CertificatesV1{resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList]{
		in: inTenant(of, func(c *CertificatesV1) *resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList] {
			return &c.bundles
		}),
		items: trustBundlesOf,
	}}
}

func trustBundlesOf(l *certificatesv1.ClusterTrustBundleList) ([]certificatesv1.ClusterTrustBundle, string) {
	return l.Items, l.Continue
}

// GetClusterTrustBundle returns the ClusterTrustBundle called name.
func (c *CertificatesV1) GetClusterTrustBundle(ctx context.Context, name string) (*certificatesv1.ClusterTrustBundle, error) {
	return c.bundles.get(ctx, "", name)
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them if
// it is empty.
func (c *CertificatesV1) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	opts := metav1.ListOptions{}
	if signerName != "" {
		opts.FieldSelector = fields.OneTermEqualSelector("spec.signerName", signerName).String()
	}
	return c.bundles.list(ctx, "", opts)
}

// CreateClusterTrustBundle creates bundle.
func (c *CertificatesV1) CreateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return c.bundles.create(ctx, bundle)
}

// UpdateClusterTrustBundle replaces bundle.
func (c *CertificatesV1) UpdateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return c.bundles.update(ctx, bundle)
}

// PatchClusterTrustBundle patches the ClusterTrustBundle called name.
func (c *CertificatesV1) PatchClusterTrustBundle(ctx context.Context, name string, pt types.PatchType, data []byte) (*certificatesv1.ClusterTrustBundle, error) {
	return c.bundles.patch(ctx, "", name, pt, data)
}

// DeleteClusterTrustBundle deletes the ClusterTrustBundle called name.
func (c *CertificatesV1) DeleteClusterTrustBundle(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return c.bundles.delete(ctx, "", name, opts)
}
