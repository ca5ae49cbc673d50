package fake

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// GetNamespace returns the Namespace called name, or the error NotFound.
func (c *Cluster) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get[corev1.Namespace](ctx, c, "", name)
}

// ListNamespaces returns all Namespaces in the order of their names.
func (c *Cluster) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return all[corev1.Namespace](c.api().List(ctx, object.Namespaces, "", metav1.ListOptions{}))
}

// CreateNamespace creates namespace and returns it as stored.
func (c *Cluster) CreateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return create(ctx, c, namespace, metav1.CreateOptions{})
}

// UpdateNamespace replaces namespace, but for its status and spec.finalizers.
func (c *Cluster) UpdateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return update(ctx, c, "", namespace, metav1.UpdateOptions{})
}

// UpdateNamespaceStatus replaces the status of namespace, and its labels, annotations and finalizers.
func (c *Cluster) UpdateNamespaceStatus(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return update(ctx, c, "status", namespace, metav1.UpdateOptions{})
}

// PatchNamespace patches the Namespace called name.
func (c *Cluster) PatchNamespace(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Namespace, error) {
	return patch[corev1.Namespace](ctx, c, "", "", name, pt, data, metav1.PatchOptions{})
}

// DeleteNamespace deletes the Namespace called name. It stays,
// Terminating, until [Cluster.FinalizeNamespace] or [Cluster.Settle] has removed what it
// holds.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Namespace](ctx, c, "", name, opts)
}

// GetNode returns the Node called name, or the error NotFound.
func (c *Cluster) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return get[corev1.Node](ctx, c, "", name)
}

// ListNodes returns all Nodes in the order of their names.
func (c *Cluster) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return all[corev1.Node](c.api().List(ctx, object.Nodes, "", metav1.ListOptions{}))
}

// CreateNode creates node and returns it as stored.
func (c *Cluster) CreateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return create(ctx, c, node, metav1.CreateOptions{})
}

// UpdateNode replaces node, but for its status.
func (c *Cluster) UpdateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return update(ctx, c, "", node, metav1.UpdateOptions{})
}

// UpdateNodeStatus replaces the status of node, and its labels, annotations and finalizers.
func (c *Cluster) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return update(ctx, c, "status", node, metav1.UpdateOptions{})
}

// PatchNode patches the Node called name.
func (c *Cluster) PatchNode(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Node, error) {
	return patch[corev1.Node](ctx, c, "", "", name, pt, data, metav1.PatchOptions{})
}

// DeleteNode deletes the Node called name.
func (c *Cluster) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Node](ctx, c, "", name, opts)
}

// GetClusterTrustBundle returns the ClusterTrustBundle called name, or the error NotFound.
func (c *Cluster) GetClusterTrustBundle(ctx context.Context, name string) (*certificatesv1.ClusterTrustBundle, error) {
	return get[certificatesv1.ClusterTrustBundle](ctx, c, "", name)
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them
// if it is empty, in the order of their names.
func (c *Cluster) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	opts := metav1.ListOptions{}
	if signerName != "" {
		opts.FieldSelector = fields.OneTermEqualSelector("spec.signerName", signerName).String()
	}
	return all[certificatesv1.ClusterTrustBundle](c.api().List(ctx, object.ClusterTrustBundles, "", opts))
}

// CreateClusterTrustBundle creates bundle and returns it as stored.
func (c *Cluster) CreateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return create(ctx, c, bundle, metav1.CreateOptions{})
}

// UpdateClusterTrustBundle replaces bundle.
func (c *Cluster) UpdateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return update(ctx, c, "", bundle, metav1.UpdateOptions{})
}

// PatchClusterTrustBundle patches the ClusterTrustBundle called name.
func (c *Cluster) PatchClusterTrustBundle(ctx context.Context, name string, pt types.PatchType, data []byte) (*certificatesv1.ClusterTrustBundle, error) {
	return patch[certificatesv1.ClusterTrustBundle](ctx, c, "", "", name, pt, data, metav1.PatchOptions{})
}

// DeleteClusterTrustBundle deletes the ClusterTrustBundle called name.
func (c *Cluster) DeleteClusterTrustBundle(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[certificatesv1.ClusterTrustBundle](ctx, c, "", name, opts)
}

// FinalizeNamespace does what the namespace controller does for a Namespace
// that is being deleted: it deletes what the Namespace holds, and when nothing
// is left, the Namespace. Content that has finalizers stays, marked, and so
// does the Namespace; call it again later. [Cluster.Settle] does it by itself.
//
// The error is NotFound if there is no such Namespace, and a Conflict if it is
// not being deleted.
func (c *Cluster) FinalizeNamespace(ctx context.Context, name string) error {
	return c.api().FinalizeNamespace(ctx, name)
}
