package fake

import (
	"context"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/server"
)

// A Reader is a cache of a [Cluster] for controllers, like that of an informer. Its
// reads are not API calls: they are not in [Cluster.Actions], and the cluster's faults
// don't apply to them. It can be stale, and never goes back in time. Its methods return
// objects as it has seen them.
//
// It is safe for concurrent use.
type Reader struct{ cache *server.Reader }

// Reader returns a new cache of c. It sees every change immediately until
// [Reader.Lag] is called.
func (c *Cluster) Reader() *Reader { return &Reader{c.api().Reader()} }

// Lag makes r stale by n revisions from now on. It keeps what it has seen already.
func (r *Reader) Lag(n uint64) { r.cache.Lag(n) }

// CatchUp makes r see every change so far, once; then it lags again.
// [Cluster.Settle] does it when nothing else is left to do, and when a key has
// failed ten times in a row: no cache is stale forever.
func (r *Reader) CatchUp() { r.cache.CatchUp() }

// Inject adds a fault to what is read through r. It panics if f can't fire there:
// verbs are get and list, and r is stale by [Reader.Lag].
func (r *Reader) Inject(f *fault.Fault) { r.cache.Faults.Inject(f) }

// ClearFaults removes the faults of r.
func (r *Reader) ClearFaults() { r.cache.Faults.Clear() }

// Unfired returns the faults of r that never fired; see [Cluster.Unfired].
func (r *Reader) Unfired() []*fault.Fault { return r.cache.Faults.Unfired() }

// GetNamespace returns the Namespace called name, or the error NotFound.
func (r *Reader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return one[corev1.Namespace](r.cache.Get(ctx, object.Namespaces, "", name))
}

// ListNamespaces returns all Namespaces.
func (r *Reader) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return all[corev1.Namespace](r.cache.List(ctx, object.Namespaces, ""))
}

// GetNode returns the Node called name, or the error NotFound.
func (r *Reader) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return one[corev1.Node](r.cache.Get(ctx, object.Nodes, "", name))
}

// ListNodes returns all Nodes.
func (r *Reader) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return all[corev1.Node](r.cache.List(ctx, object.Nodes, ""))
}

// GetServiceAccount returns the ServiceAccount called name, or the error NotFound.
func (r *Reader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](r.cache.Get(ctx, object.ServiceAccounts, namespace, name))
}

// ListServiceAccounts returns the ServiceAccounts of namespace, or of every namespace if it is empty.
func (r *Reader) ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error) {
	return all[corev1.ServiceAccount](r.cache.List(ctx, object.ServiceAccounts, namespace))
}

// GetSecret returns the Secret called name, or the error NotFound.
func (r *Reader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return one[corev1.Secret](r.cache.Get(ctx, object.Secrets, namespace, name))
}

// ListSecrets returns the Secrets of namespace, or of every namespace if it is empty.
func (r *Reader) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](r.cache.List(ctx, object.Secrets, namespace))
}

// TokenSecrets returns the token Secrets of an account.
func (r *Reader) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](r.cache.TokenSecrets(ctx, namespace, serviceAccountName))
}

// GetPod returns the Pod called name, or the error NotFound.
func (r *Reader) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return one[corev1.Pod](r.cache.Get(ctx, object.Pods, namespace, name))
}

// ListPods returns the Pods of namespace, or of every namespace if it is empty.
func (r *Reader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return all[corev1.Pod](r.cache.List(ctx, object.Pods, namespace))
}

// GetConfigMap returns the ConfigMap called name, or the error NotFound.
func (r *Reader) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](r.cache.Get(ctx, object.ConfigMaps, namespace, name))
}

// ListConfigMaps returns the ConfigMaps of namespace, or of every namespace if it is empty.
func (r *Reader) ListConfigMaps(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return all[corev1.ConfigMap](r.cache.List(ctx, object.ConfigMaps, namespace))
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them
// if it is empty.
func (r *Reader) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	bundles, err := all[certificatesv1.ClusterTrustBundle](r.cache.List(ctx, object.ClusterTrustBundles, ""))
	return slices.DeleteFunc(bundles, func(b *certificatesv1.ClusterTrustBundle) bool {
		return signerName != "" && b.Spec.SignerName != signerName
	}), err
}
