package serviceaccount

import (
	"context"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// GetNamespace returns the Namespace called name.
func (c *CoreV1) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return c.namespaces.get(ctx, "", name)
}

// ListNamespaces returns all Namespaces.
func (c *CoreV1) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return c.namespaces.list(ctx, "", metav1.ListOptions{})
}

// CreateNamespace creates namespace.
func (c *CoreV1) CreateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return c.namespaces.create(ctx, namespace)
}

// UpdateNamespace replaces namespace, except its status.
func (c *CoreV1) UpdateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error) {
	return c.namespaces.update(ctx, namespace)
}

// PatchNamespace patches the Namespace called name.
func (c *CoreV1) PatchNamespace(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Namespace, error) {
	return c.namespaces.patch(ctx, "", name, pt, data)
}

// DeleteNamespace deletes the Namespace called name.
func (c *CoreV1) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return c.namespaces.delete(ctx, "", name, opts)
}

// GetNode returns the Node called name.
func (c *CoreV1) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return c.nodes.get(ctx, "", name)
}

// ListNodes returns all Nodes.
func (c *CoreV1) ListNodes(ctx context.Context) ([]*corev1.Node, error) {
	return c.nodes.list(ctx, "", metav1.ListOptions{})
}

// CreateNode creates node.
func (c *CoreV1) CreateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return c.nodes.create(ctx, node)
}

// UpdateNode replaces node, except its status.
func (c *CoreV1) UpdateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return c.nodes.update(ctx, node)
}

// PatchNode patches the Node called name.
func (c *CoreV1) PatchNode(ctx context.Context, name string, pt types.PatchType, data []byte) (*corev1.Node, error) {
	return c.nodes.patch(ctx, "", name, pt, data)
}

// DeleteNode deletes the Node called name.
func (c *CoreV1) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return c.nodes.delete(ctx, "", name, opts)
}

// GetServiceAccount returns the ServiceAccount called name.
func (c *CoreV1) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return c.serviceAccounts.get(ctx, namespace, name)
}

// ListServiceAccounts returns the ServiceAccounts of namespace, or of every
// namespace if it is empty.
func (c *CoreV1) ListServiceAccounts(ctx context.Context, namespace string) ([]*corev1.ServiceAccount, error) {
	return c.serviceAccounts.list(ctx, namespace, metav1.ListOptions{})
}

// CreateServiceAccount creates account in its namespace.
func (c *CoreV1) CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return c.serviceAccounts.create(ctx, account)
}

// UpdateServiceAccount replaces account.
func (c *CoreV1) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return c.serviceAccounts.update(ctx, account)
}

// PatchServiceAccount patches the ServiceAccount called name.
func (c *CoreV1) PatchServiceAccount(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ServiceAccount, error) {
	return c.serviceAccounts.patch(ctx, namespace, name, pt, data)
}

// DeleteServiceAccount deletes the ServiceAccount called name.
func (c *CoreV1) DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return c.serviceAccounts.delete(ctx, namespace, name, opts)
}

// GetSecret returns the Secret called name.
func (c *CoreV1) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return c.secrets.get(ctx, namespace, name)
}

// ListSecrets returns the Secrets of namespace, or of every namespace if it is
// empty.
func (c *CoreV1) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return c.secrets.list(ctx, namespace, metav1.ListOptions{})
}

// TokenSecrets returns the token Secrets of namespace whose name annotation is
// serviceAccountName, in the order of their names. The API server has no index
// for that: it scans the namespace's Secrets, but sends only token Secrets.
func (c *CoreV1) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	list, err := c.secrets.list(ctx, namespace, metav1.ListOptions{
		FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken),
	})
	if err != nil {
		return nil, err
	}
	// client-go's fake ignores field selectors, so the type is checked again.
	list = slices.DeleteFunc(list, func(s *corev1.Secret) bool {
		account, _ := tokensecret.Owner(s)
		return !tokensecret.Is(s) || account != serviceAccountName
	})
	slices.SortFunc(list, func(a, b *corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// CreateSecret creates secret in its namespace.
func (c *CoreV1) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return c.secrets.create(ctx, secret)
}

// UpdateSecret replaces secret.
func (c *CoreV1) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return c.secrets.update(ctx, secret)
}

// PatchSecret patches the Secret called name.
func (c *CoreV1) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	return c.secrets.patch(ctx, namespace, name, pt, data)
}

// DeleteSecret deletes the Secret called name.
func (c *CoreV1) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return c.secrets.delete(ctx, namespace, name, opts)
}

// GetPod returns the Pod called name.
func (c *CoreV1) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return c.pods.get(ctx, namespace, name)
}

// ListPods returns the Pods of namespace, or of every namespace if it is empty.
func (c *CoreV1) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return c.pods.list(ctx, namespace, metav1.ListOptions{})
}

// CreatePod creates pod in its namespace.
func (c *CoreV1) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return c.pods.create(ctx, pod)
}

// UpdatePod replaces pod, except its status.
func (c *CoreV1) UpdatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return c.pods.update(ctx, pod)
}

// PatchPod patches the Pod called name.
func (c *CoreV1) PatchPod(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Pod, error) {
	return c.pods.patch(ctx, namespace, name, pt, data)
}

// DeletePod deletes the Pod called name.
func (c *CoreV1) DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return c.pods.delete(ctx, namespace, name, opts)
}

// GetConfigMap returns the ConfigMap called name.
func (c *CoreV1) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return c.configMaps.get(ctx, namespace, name)
}

// ListConfigMaps returns the ConfigMaps of namespace, or of every namespace if
// it is empty.
func (c *CoreV1) ListConfigMaps(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return c.configMaps.list(ctx, namespace, metav1.ListOptions{})
}

// CreateConfigMap creates configMap in its namespace.
func (c *CoreV1) CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return c.configMaps.create(ctx, configMap)
}

// UpdateConfigMap replaces configMap.
func (c *CoreV1) UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return c.configMaps.update(ctx, configMap)
}

// PatchConfigMap patches the ConfigMap called name.
func (c *CoreV1) PatchConfigMap(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ConfigMap, error) {
	return c.configMaps.patch(ctx, namespace, name, pt, data)
}

// DeleteConfigMap deletes the ConfigMap called name.
func (c *CoreV1) DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return c.configMaps.delete(ctx, namespace, name, opts)
}
