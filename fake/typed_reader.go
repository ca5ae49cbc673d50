package fake

import (
	"context"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// GetNamespace returns the Namespace called name as the Reader has seen it.
func (r *Reader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return one[corev1.Namespace](r.get(ctx, object.Namespaces, "", name))
}

// ListNamespaces returns the Namespaces as the Reader has seen them.
func (r *Reader) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return all[corev1.Namespace](r.list(ctx, object.Namespaces, ""))
}

// GetNode returns the Node called name as the Reader has seen it.
func (r *Reader) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return one[corev1.Node](r.get(ctx, object.Nodes, "", name))
}

// ListNodes returns the Nodes as the Reader has seen them.
func (r *Reader) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return all[corev1.Node](r.list(ctx, object.Nodes, ""))
}

// GetServiceAccount returns the ServiceAccount called name as the Reader has seen it.
func (r *Reader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](r.get(ctx, object.ServiceAccounts, namespace, name))
}

// ListServiceAccounts returns the ServiceAccounts of namespace, or of every namespace if it is empty,
// as the Reader has seen them.
func (r *Reader) ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error) {
	return all[corev1.ServiceAccount](r.list(ctx, object.ServiceAccounts, namespace))
}

// GetSecret returns the Secret called name as the Reader has seen it.
func (r *Reader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return one[corev1.Secret](r.get(ctx, object.Secrets, namespace, name))
}

// ListSecrets returns the Secrets of namespace, or of every namespace if it is empty,
// as the Reader has seen them.
func (r *Reader) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](r.list(ctx, object.Secrets, namespace))
}

// TokenSecrets returns the token Secrets of an account as the Reader has seen
// them.
func (r *Reader) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](r.tokenSecrets(ctx, namespace, serviceAccountName))
}

// GetPod returns the Pod called name as the Reader has seen it.
func (r *Reader) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return one[corev1.Pod](r.get(ctx, object.Pods, namespace, name))
}

// ListPods returns the Pods of namespace, or of every namespace if it is empty,
// as the Reader has seen them.
func (r *Reader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return all[corev1.Pod](r.list(ctx, object.Pods, namespace))
}

// GetConfigMap returns the ConfigMap called name as the Reader has seen it.
func (r *Reader) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](r.get(ctx, object.ConfigMaps, namespace, name))
}

// ListConfigMaps returns the ConfigMaps of namespace, or of every namespace if it is empty,
// as the Reader has seen them.
func (r *Reader) ListConfigMaps(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return all[corev1.ConfigMap](r.list(ctx, object.ConfigMaps, namespace))
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them
// if it is empty, as the Reader has seen them.
func (r *Reader) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	bundles, err := all[certificatesv1.ClusterTrustBundle](r.list(ctx, object.ClusterTrustBundles, ""))
	return slices.DeleteFunc(bundles, func(b *certificatesv1.ClusterTrustBundle) bool {
		return signerName != "" && b.Spec.SignerName != signerName
	}), err
}
