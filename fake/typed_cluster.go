package fake

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// GetNamespace returns the Namespace called name. The error is NotFound if there is
// none.
func (c *Cluster) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.get(ctx, namespaces, "", name))
}

// ListNamespaces returns all Namespaces in the order of their names.
func (c *Cluster) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return all[corev1.Namespace](c.list(ctx, namespaces, "", metav1.ListOptions{}))
}

// CreateNamespace creates namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.create(ctx, namespaces, namespace, nil))
}

// UpdateNamespace replaces namespace, but for its status and spec.finalizers. The error is Conflict if namespace
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.update(ctx, namespaces, "", namespace, nil))
}

// UpdateNamespaceStatus replaces the status of namespace, and its labels, annotations
// and finalizers, under the rules of [Cluster.UpdateNamespace].
func (c *Cluster) UpdateNamespaceStatus(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.update(ctx, namespaces, "status", namespace, nil))
}

// PatchNamespace patches the Namespace called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchNamespace(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Namespace, error) {
	return one[corev1.Namespace](c.patch(ctx, namespaces, "", "", name, pt, data, nil))
}

// DeleteNamespace deletes the Namespace called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
// The Namespace stays, Terminating, until [Cluster.FinalizeNamespace] or
// [Cluster.Settle] has removed what it holds.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, namespaces, "", name, opts)
	return err
}

// GetNode returns the Node called name. The error is NotFound if there is
// none.
func (c *Cluster) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return one[corev1.Node](c.get(ctx, nodes, "", name))
}

// ListNodes returns all Nodes in the order of their names.
func (c *Cluster) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return all[corev1.Node](c.list(ctx, nodes, "", metav1.ListOptions{}))
}

// CreateNode creates node and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.create(ctx, nodes, node, nil))
}

// UpdateNode replaces node, but for its status. The error is Conflict if node
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.update(ctx, nodes, "", node, nil))
}

// UpdateNodeStatus replaces the status of node, and its labels, annotations
// and finalizers, under the rules of [Cluster.UpdateNode].
func (c *Cluster) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return one[corev1.Node](c.update(ctx, nodes, "status", node, nil))
}

// PatchNode patches the Node called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchNode(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Node, error) {
	return one[corev1.Node](c.patch(ctx, nodes, "", "", name, pt, data, nil))
}

// DeleteNode deletes the Node called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, nodes, "", name, opts)
	return err
}

// pointer is a constraint: a pointer to T that the Cluster can store.
type pointer[T any] interface {
	*T
	object
}

// one returns a copy of o for the caller.
func one[T any, P pointer[T]](o object, err error) (P, error) {
	if err != nil {
		return nil, err
	}
	return copyOf(o).(P), nil
}

// all returns copies of what was found for the caller.
func all[T any, P pointer[T]](found page, err error) ([]P, error) {
	if err != nil {
		return nil, err
	}
	list := make([]P, 0, len(found.items))
	for _, o := range found.items {
		list = append(list, copyOf(o).(P))
	}
	return list, nil
}
