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

// GetNamespace returns the Namespace called name. The error is NotFound if there is
// none.
func (c *Cluster) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.get(ctx, object.Namespaces, "", name))
}

// ListNamespaces returns all Namespaces in the order of their names.
func (c *Cluster) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return all[corev1.Namespace](c.list(ctx, object.Namespaces, "", metav1.ListOptions{}))
}

// CreateNamespace creates namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.create(ctx, object.Namespaces, namespace, nil))
}

// UpdateNamespace replaces namespace, but for its status and spec.finalizers. The error is Conflict if namespace
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.update(ctx, object.Namespaces, "", namespace, nil))
}

// UpdateNamespaceStatus replaces the status of namespace, and its labels, annotations
// and finalizers, under the rules of [Cluster.UpdateNamespace].
func (c *Cluster) UpdateNamespaceStatus(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.update(ctx, object.Namespaces, "status", namespace, nil))
}

// PatchNamespace patches the Namespace called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchNamespace(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.patch(ctx, object.Namespaces, "", "", name, pt, data, nil))
}

// DeleteNamespace deletes the Namespace called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
// The Namespace stays, Terminating, until [Cluster.FinalizeNamespace] or
// [Cluster.Settle] has removed what it holds.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.Namespaces, "", name, opts)
	return err
}

// GetNode returns the Node called name. The error is NotFound if there is
// none.
func (c *Cluster) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return one[corev1.Node](c.get(ctx, object.Nodes, "", name))
}

// ListNodes returns all Nodes in the order of their names.
func (c *Cluster) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return all[corev1.Node](c.list(ctx, object.Nodes, "", metav1.ListOptions{}))
}

// CreateNode creates node and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.create(ctx, object.Nodes, node, nil))
}

// UpdateNode replaces node, but for its status. The error is Conflict if node
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.update(ctx, object.Nodes, "", node, nil))
}

// UpdateNodeStatus replaces the status of node, and its labels, annotations
// and finalizers, under the rules of [Cluster.UpdateNode].
func (c *Cluster) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.update(ctx, object.Nodes, "status", node, nil))
}

// PatchNode patches the Node called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchNode(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Node, error) {
	return one[corev1.Node](c.patch(ctx, object.Nodes, "", "", name, pt, data, nil))
}

// DeleteNode deletes the Node called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.Nodes, "", name, opts)
	return err
}

// one returns a copy of o for the caller.
func one[T any, P object.Pointer[T]](o object.Object, err error) (P, error) {
	if err != nil {
		return nil, err
	}
	return object.CopyOf(o).(P), nil
}

// all returns copies of what was found for the caller.
func all[T any, P object.Pointer[T]](found object.Page, err error) ([]P, error) {
	if err != nil {
		return nil, err
	}
	list := make([]P, 0, len(found.Items))
	for _, o := range found.Items {
		list = append(list, object.CopyOf(o).(P))
	}
	return list, nil
}

// GetClusterTrustBundle returns the ClusterTrustBundle called name. The error is NotFound
// if there is none.
func (c *Cluster) GetClusterTrustBundle(ctx context.Context, name string) (*certificatesv1.ClusterTrustBundle, error) {
	return one[certificatesv1.ClusterTrustBundle](c.get(ctx, object.ClusterTrustBundles, "", name))
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them
// if it is empty, in the order of their names.
func (c *Cluster) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	return all[certificatesv1.ClusterTrustBundle](c.list(ctx, object.ClusterTrustBundles, "", ofSigner(signerName)))
}

func ofSigner(name string) metav1.ListOptions {
	if name == "" {
		return metav1.ListOptions{}
	}
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.signerName", name).String()}
}

// CreateClusterTrustBundle creates bundle and returns it as stored; see [Cluster] for the
// rules of a create.
func (c *Cluster) CreateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return one[certificatesv1.ClusterTrustBundle](c.create(ctx, object.ClusterTrustBundles, bundle, nil))
}

// UpdateClusterTrustBundle replaces bundle. The error is Conflict if bundle carries a
// resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error) {
	return one[certificatesv1.ClusterTrustBundle](c.update(ctx, object.ClusterTrustBundles, "", bundle, nil))
}

// PatchClusterTrustBundle patches the ClusterTrustBundle called name, under the rules of
// [Cluster.PatchNamespace].
func (c *Cluster) PatchClusterTrustBundle(ctx context.Context, name string, pt types.PatchType, data []byte) (*certificatesv1.ClusterTrustBundle, error) {
	return one[certificatesv1.ClusterTrustBundle](c.patch(ctx, object.ClusterTrustBundles, "", "", name, pt, data, nil))
}

// DeleteClusterTrustBundle deletes the ClusterTrustBundle called name. The error is
// NotFound if there is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteClusterTrustBundle(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.ClusterTrustBundles, "", name, opts)
	return err
}
