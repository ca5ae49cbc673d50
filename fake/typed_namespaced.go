package fake

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// GetServiceAccount returns the ServiceAccount called name. The error is NotFound if there is
// none.
func (c *Cluster) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](c.get(ctx, object.ServiceAccounts, namespace, name))
}

// ListServiceAccounts returns the ServiceAccounts of namespace, or of every namespace if it
// is empty, in the API server's order.
func (c *Cluster) ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error) {
	return all[corev1.ServiceAccount](c.list(ctx, object.ServiceAccounts, namespace, metav1.ListOptions{}))
}

// CreateServiceAccount creates account in its namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](c.create(ctx, object.ServiceAccounts, account, nil))
}

// UpdateServiceAccount replaces account. The error is Conflict if account
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](c.update(ctx, object.ServiceAccounts, "", account, nil))
}

// PatchServiceAccount patches the ServiceAccount called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchServiceAccount(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ServiceAccount, error) {
	return one[corev1.ServiceAccount](c.patch(ctx, object.ServiceAccounts, "", namespace, name, pt, data, nil))
}

// DeleteServiceAccount deletes the ServiceAccount called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.ServiceAccounts, namespace, name, opts)
	return err
}

// GetSecret returns the Secret called name. The error is NotFound if there is
// none.
func (c *Cluster) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return one[corev1.Secret](c.get(ctx, object.Secrets, namespace, name))
}

// ListSecrets returns the Secrets of namespace, or of every namespace if it
// is empty, in the API server's order.
func (c *Cluster) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](c.list(ctx, object.Secrets, namespace, metav1.ListOptions{}))
}

// TokenSecrets returns the token Secrets of namespace whose name annotation is
// serviceAccountName, in the order of their names. An index finds them.
func (c *Cluster) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	found, err := c.tokenSecrets(ctx, namespace, serviceAccountName)
	return all[corev1.Secret](object.Page{Items: found}, err)
}

// CreateSecret creates secret in its namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return one[corev1.Secret](c.create(ctx, object.Secrets, secret, nil))
}

// UpdateSecret replaces secret. The error is Conflict if secret
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return one[corev1.Secret](c.update(ctx, object.Secrets, "", secret, nil))
}

// PatchSecret patches the Secret called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	return one[corev1.Secret](c.patch(ctx, object.Secrets, "", namespace, name, pt, data, nil))
}

// DeleteSecret deletes the Secret called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.Secrets, namespace, name, opts)
	return err
}

// GetPod returns the Pod called name. The error is NotFound if there is
// none.
func (c *Cluster) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return one[corev1.Pod](c.get(ctx, object.Pods, namespace, name))
}

// ListPods returns the Pods of namespace, or of every namespace if it
// is empty, in the API server's order.
func (c *Cluster) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return all[corev1.Pod](c.list(ctx, object.Pods, namespace, metav1.ListOptions{}))
}

// CreatePod creates pod in its namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return one[corev1.Pod](c.create(ctx, object.Pods, pod, nil))
}

// UpdatePod replaces pod, but for its status. The error is Conflict if pod
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return one[corev1.Pod](c.update(ctx, object.Pods, "", pod, nil))
}

// UpdatePodStatus replaces the status of pod, and its labels, annotations
// and finalizers, under the rules of [Cluster.UpdatePod].
func (c *Cluster) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return one[corev1.Pod](c.update(ctx, object.Pods, "status", pod, nil))
}

// UpdatePodEphemeralContainers adds the ephemeral containers of pod that are
// new, under the rules of [Cluster.UpdatePod]. Those that are there can't be
// changed or removed.
func (c *Cluster) UpdatePodEphemeralContainers(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return one[corev1.Pod](c.update(ctx, object.Pods, "ephemeralcontainers", pod, nil))
}

// PatchPod patches the Pod called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchPod(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Pod, error) {
	return one[corev1.Pod](c.patch(ctx, object.Pods, "", namespace, name, pt, data, nil))
}

// DeletePod deletes the Pod called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
// A Pod that runs on a node gets a deletionTimestamp first; delete it again
// with a grace period of zero, as a kubelet does.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.Pods, namespace, name, opts)
	return err
}

// GetConfigMap returns the ConfigMap called name. The error is NotFound if there is
// none.
func (c *Cluster) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](c.get(ctx, object.ConfigMaps, namespace, name))
}

// ListConfigMaps returns the ConfigMaps of namespace, or of every namespace if it
// is empty, in the API server's order.
func (c *Cluster) ListConfigMaps(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return all[corev1.ConfigMap](c.list(ctx, object.ConfigMaps, namespace, metav1.ListOptions{}))
}

// CreateConfigMap creates configMap in its namespace and returns it as stored; see [Cluster]
// for the rules of a create.
func (c *Cluster) CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](c.create(ctx, object.ConfigMaps, configMap, nil))
}

// UpdateConfigMap replaces configMap. The error is Conflict if configMap
// carries a resourceVersion or UID that is not the stored one.
func (c *Cluster) UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](c.update(ctx, object.ConfigMaps, "", configMap, nil))
}

// PatchConfigMap patches the ConfigMap called name. A metadata.uid or
// metadata.resourceVersion in the patch is a precondition: the error is
// Conflict if it is not the stored one.
func (c *Cluster) PatchConfigMap(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ConfigMap, error) {
	return one[corev1.ConfigMap](c.patch(ctx, object.ConfigMaps, "", namespace, name, pt, data, nil))
}

// DeleteConfigMap deletes the ConfigMap called name. The error is NotFound if there
// is none, and Conflict if it doesn't meet the preconditions of opts.
func (c *Cluster) DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := c.delete(ctx, object.ConfigMaps, namespace, name, opts)
	return err
}
