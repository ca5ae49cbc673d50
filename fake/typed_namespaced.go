package fake

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// GetServiceAccount returns the ServiceAccount called name, or the error NotFound.
func (c *Cluster) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get[corev1.ServiceAccount](ctx, c, namespace, name)
}

// ListServiceAccounts returns the ServiceAccounts of namespace, or of every namespace if it is empty, in
// the API server's order.
func (c *Cluster) ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error) {
	return all[corev1.ServiceAccount](c.api().List(ctx, object.ServiceAccounts, namespace, metav1.ListOptions{}))
}

// CreateServiceAccount creates account and returns it as stored.
func (c *Cluster) CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return create(ctx, c, account, metav1.CreateOptions{})
}

// UpdateServiceAccount replaces account.
func (c *Cluster) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return update(ctx, c, "", account, metav1.UpdateOptions{})
}

// PatchServiceAccount patches the ServiceAccount called name.
func (c *Cluster) PatchServiceAccount(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ServiceAccount, error) {
	return patch[corev1.ServiceAccount](ctx, c, "", namespace, name, pt, data, metav1.PatchOptions{})
}

// DeleteServiceAccount deletes the ServiceAccount called name.
func (c *Cluster) DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.ServiceAccount](ctx, c, namespace, name, opts)
}

// GetSecret returns the Secret called name, or the error NotFound.
func (c *Cluster) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get[corev1.Secret](ctx, c, namespace, name)
}

// ListSecrets returns the Secrets of namespace, or of every namespace if it is empty, in
// the API server's order.
func (c *Cluster) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](c.api().List(ctx, object.Secrets, namespace, metav1.ListOptions{}))
}

// TokenSecrets returns the token Secrets of namespace whose name annotation is
// serviceAccountName, in the order of their names. An index finds them.
func (c *Cluster) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	return all[corev1.Secret](c.api().TokenSecrets(ctx, namespace, serviceAccountName))
}

// CreateSecret creates secret and returns it as stored.
func (c *Cluster) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return create(ctx, c, secret, metav1.CreateOptions{})
}

// UpdateSecret replaces secret.
func (c *Cluster) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return update(ctx, c, "", secret, metav1.UpdateOptions{})
}

// PatchSecret patches the Secret called name.
func (c *Cluster) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	return patch[corev1.Secret](ctx, c, "", namespace, name, pt, data, metav1.PatchOptions{})
}

// DeleteSecret deletes the Secret called name.
func (c *Cluster) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Secret](ctx, c, namespace, name, opts)
}

// GetPod returns the Pod called name, or the error NotFound.
func (c *Cluster) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return get[corev1.Pod](ctx, c, namespace, name)
}

// ListPods returns the Pods of namespace, or of every namespace if it is empty, in
// the API server's order.
func (c *Cluster) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return all[corev1.Pod](c.api().List(ctx, object.Pods, namespace, metav1.ListOptions{}))
}

// CreatePod creates pod and returns it as stored.
func (c *Cluster) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return create(ctx, c, pod, metav1.CreateOptions{})
}

// UpdatePod replaces pod, but for its status.
func (c *Cluster) UpdatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return update(ctx, c, "", pod, metav1.UpdateOptions{})
}

// UpdatePodStatus replaces the status of pod, and its labels, annotations and finalizers.
func (c *Cluster) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return update(ctx, c, "status", pod, metav1.UpdateOptions{})
}

// UpdatePodEphemeralContainers adds the ephemeral containers of pod that are new. Those
// that are there can't be changed or removed.
func (c *Cluster) UpdatePodEphemeralContainers(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return update(ctx, c, object.EphemeralSubresource, pod, metav1.UpdateOptions{})
}

// PatchPod patches the Pod called name.
func (c *Cluster) PatchPod(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Pod, error) {
	return patch[corev1.Pod](ctx, c, "", namespace, name, pt, data, metav1.PatchOptions{})
}

// DeletePod deletes the Pod called name. One that runs on a node gets a
// deletionTimestamp first; delete it again with a grace period of zero, as a kubelet does.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.Pod](ctx, c, namespace, name, opts)
}

// GetConfigMap returns the ConfigMap called name, or the error NotFound.
func (c *Cluster) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return get[corev1.ConfigMap](ctx, c, namespace, name)
}

// ListConfigMaps returns the ConfigMaps of namespace, or of every namespace if it is empty, in
// the API server's order.
func (c *Cluster) ListConfigMaps(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return all[corev1.ConfigMap](c.api().List(ctx, object.ConfigMaps, namespace, metav1.ListOptions{}))
}

// CreateConfigMap creates configMap and returns it as stored.
func (c *Cluster) CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return create(ctx, c, configMap, metav1.CreateOptions{})
}

// UpdateConfigMap replaces configMap.
func (c *Cluster) UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return update(ctx, c, "", configMap, metav1.UpdateOptions{})
}

// PatchConfigMap patches the ConfigMap called name.
func (c *Cluster) PatchConfigMap(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ConfigMap, error) {
	return patch[corev1.ConfigMap](ctx, c, "", namespace, name, pt, data, metav1.PatchOptions{})
}

// DeleteConfigMap deletes the ConfigMap called name.
func (c *Cluster) DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return remove[corev1.ConfigMap](ctx, c, namespace, name, opts)
}

// BindPod assigns the Pod that binding is about to the Node that it names, as a
// scheduler does with the subresource "binding". It fails with a conflict if the Pod has
// a Node or is being deleted, or isn't the one whose UID or resourceVersion binding has.
func (c *Cluster) BindPod(ctx context.Context, binding *corev1.Binding, opts metav1.CreateOptions) error {
	return c.api().Bind(ctx, binding, opts)
}
