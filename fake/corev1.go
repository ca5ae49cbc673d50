package fake

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// CoreV1 gives access to a [Cluster] in the shape of client-go's CoreV1(), so
// that code written for client-go's interfaces, with options and subresources,
// can be pointed at the fake. What the options ask for is done: dry run,
// selectors, limit and continue. It is safe for concurrent use.
type CoreV1 struct{ cluster *Cluster }

// CoreV1 returns access to c in the shape of client-go's.
func (c *Cluster) CoreV1() CoreV1 { return CoreV1{c} }

// Namespaces returns a client of the Namespaces.
func (v CoreV1) Namespaces() *Client[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace] {
	return &Client[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace]{v.cluster, ""}
}

// Nodes returns a client of the Nodes.
func (v CoreV1) Nodes() *Client[corev1.Node, corev1.NodeList, *corev1.Node] {
	return &Client[corev1.Node, corev1.NodeList, *corev1.Node]{v.cluster, ""}
}

// ServiceAccounts returns a client of the ServiceAccounts of namespace.
func (v CoreV1) ServiceAccounts(namespace string) *Client[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount] {
	return &Client[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount]{v.cluster, namespace}
}

// Secrets returns a client of the Secrets of namespace.
func (v CoreV1) Secrets(namespace string) *Client[corev1.Secret, corev1.SecretList, *corev1.Secret] {
	return &Client[corev1.Secret, corev1.SecretList, *corev1.Secret]{v.cluster, namespace}
}

// Pods returns a client of the Pods of namespace.
func (v CoreV1) Pods(namespace string) *Client[corev1.Pod, corev1.PodList, *corev1.Pod] {
	return &Client[corev1.Pod, corev1.PodList, *corev1.Pod]{v.cluster, namespace}
}

// ConfigMaps returns a client of the ConfigMaps of namespace.
func (v CoreV1) ConfigMaps(namespace string) *Client[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap] {
	return &Client[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap]{v.cluster, namespace}
}

// CertificatesV1 gives access to a [Cluster] in the shape of client-go's
// CertificatesV1(), as far as a Cluster has its kinds. It is safe for concurrent use.
type CertificatesV1 struct{ cluster *Cluster }

// CertificatesV1 returns access to c in the shape of client-go's.
func (c *Cluster) CertificatesV1() CertificatesV1 { return CertificatesV1{c} }

// ClusterTrustBundles returns a client of the ClusterTrustBundles.
func (v CertificatesV1) ClusterTrustBundles() *Client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle] {
	return &Client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle]{v.cluster, ""}
}

// A Client reads and writes the objects T of one namespace, in lists L, with
// the methods of client-go's typed clients. Its errors are those of the
// [Cluster].
type Client[T, L any, P object.Pointer[T]] struct {
	cluster   *Cluster
	namespace string
}

// Create creates object in the client's namespace.
func (c *Client[T, L, P]) Create(ctx context.Context, object P, opts metav1.CreateOptions) (P, error) {
	sent, err := c.address(object)
	if err != nil {
		return nil, err
	}
	return create(ctx, c.cluster, sent, opts)
}

// Update replaces the object, but for its status.
func (c *Client[T, L, P]) Update(ctx context.Context, object P, opts metav1.UpdateOptions) (P, error) {
	return c.update(ctx, "", object, opts)
}

// UpdateStatus replaces the status of the object; the error is NotFound for a
// kind without one.
func (c *Client[T, L, P]) UpdateStatus(ctx context.Context, object P, opts metav1.UpdateOptions) (P, error) {
	return c.update(ctx, "status", object, opts)
}

func (c *Client[T, L, P]) update(ctx context.Context, subresource string, object P, opts metav1.UpdateOptions) (P, error) {
	sent, err := c.address(object)
	if err != nil {
		return nil, err
	}
	return update(ctx, c.cluster, subresource, sent, opts)
}

// Delete deletes the object called name.
func (c *Client[T, L, P]) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return remove[T, P](ctx, c.cluster, c.namespace, name, opts)
}

// DeleteCollection deletes what listOpts selects. It stops at the first error.
func (c *Client[T, L, P]) DeleteCollection(ctx context.Context, opts metav1.DeleteOptions, listOpts metav1.ListOptions) error {
	_, err := c.cluster.api().DeleteCollection(ctx, object.KindFor[T, P](), c.namespace, opts, listOpts)
	return err
}

// Get returns the object called name.
func (c *Client[T, L, P]) Get(ctx context.Context, name string, _ metav1.GetOptions) (P, error) {
	return get[T, P](ctx, c.cluster, c.namespace, name)
}

// List returns what opts selects.
func (c *Client[T, L, P]) List(ctx context.Context, opts metav1.ListOptions) (*L, error) {
	kind := object.KindFor[T, P]()
	found, err := c.cluster.api().List(ctx, kind, c.namespace, opts)
	if err != nil {
		return nil, err
	}
	return any(kind.List(found)).(*L), nil
}

// Watch watches what opts selects, as [Watch.Interface] does; [Cluster.Watch] starts no
// goroutine.
func (c *Client[T, L, P]) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	w, err := c.cluster.Watch(ctx, object.KindFor[T, P]().Resource, c.namespace, opts)
	if err != nil {
		return nil, err
	}
	return w.Interface(ctx), nil
}

// Patch patches the object called name, or one subresource of it.
func (c *Client[T, L, P]) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (P, error) {
	subresource := ""
	if len(subresources) > 0 {
		subresource = subresources[0]
	}
	return patch[T, P](ctx, c.cluster, subresource, c.namespace, name, pt, data, opts)
}

// address puts object into the client's namespace, as the path of a request
// does.
func (c *Client[T, L, P]) address(o P) (P, error) {
	if object.KindOf(o) == nil || o.GetNamespace() == c.namespace {
		return o, nil
	}
	if o.GetNamespace() != "" && c.namespace != "" {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	sent := object.CopyOf(o).(P)
	if c.namespace != "" {
		sent.SetNamespace(c.namespace)
	}
	return sent, nil
}
