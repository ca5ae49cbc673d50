package serviceaccount_test

import (
	"context"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// clientset has client-go's shape on top of a fake.Cluster. As client-go's own
// fake does, it ignores field selectors.
type clientset struct{ cluster *fake.Cluster }

func (c clientset) CoreV1() coreV1 { return coreV1(c) }

type (
	coreV1 clientset

	namespaceInterface      = serviceaccount.Resource[corev1.Namespace, corev1.NamespaceList]
	nodeInterface           = serviceaccount.Resource[corev1.Node, corev1.NodeList]
	serviceAccountInterface = serviceaccount.Resource[corev1.ServiceAccount, corev1.ServiceAccountList]
	secretInterface         = serviceaccount.Resource[corev1.Secret, corev1.SecretList]
	podInterface            = serviceaccount.Resource[corev1.Pod, corev1.PodList]
	configMapInterface      = serviceaccount.Resource[corev1.ConfigMap, corev1.ConfigMapList]
)

func (c coreV1) Namespaces() namespaceInterface {
	return verbs[corev1.Namespace, corev1.NamespaceList]{
		get:    c.cluster.GetNamespace,
		create: c.cluster.CreateNamespace,
		update: c.cluster.UpdateNamespace,
		patch:  c.cluster.PatchNamespace,
		delete: c.cluster.DeleteNamespace,
		list:   c.cluster.ListNamespaces,
		wrap:   func(items []corev1.Namespace) *corev1.NamespaceList { return &corev1.NamespaceList{Items: items} },
	}
}

func (c coreV1) Nodes() nodeInterface {
	return verbs[corev1.Node, corev1.NodeList]{
		get:    c.cluster.GetNode,
		create: c.cluster.CreateNode,
		update: c.cluster.UpdateNode,
		patch:  c.cluster.PatchNode,
		delete: c.cluster.DeleteNode,
		list:   c.cluster.ListNodes,
		wrap:   func(items []corev1.Node) *corev1.NodeList { return &corev1.NodeList{Items: items} },
	}
}

func (c coreV1) ServiceAccounts(namespace string) serviceAccountInterface {
	return inNamespace(namespace, c.cluster.GetServiceAccount, c.cluster.CreateServiceAccount, c.cluster.UpdateServiceAccount,
		c.cluster.PatchServiceAccount, c.cluster.DeleteServiceAccount, c.cluster.ListServiceAccounts,
		func(items []corev1.ServiceAccount) *corev1.ServiceAccountList {
			return &corev1.ServiceAccountList{Items: items}
		})
}

func (c coreV1) Secrets(namespace string) secretInterface {
	return inNamespace(namespace, c.cluster.GetSecret, c.cluster.CreateSecret, c.cluster.UpdateSecret,
		c.cluster.PatchSecret, c.cluster.DeleteSecret, c.cluster.ListSecrets,
		func(items []corev1.Secret) *corev1.SecretList { return &corev1.SecretList{Items: items} })
}

func (c coreV1) Pods(namespace string) podInterface {
	return inNamespace(namespace, c.cluster.GetPod, c.cluster.CreatePod, c.cluster.UpdatePod,
		c.cluster.PatchPod, c.cluster.DeletePod, c.cluster.ListPods,
		func(items []corev1.Pod) *corev1.PodList { return &corev1.PodList{Items: items} })
}

func (c coreV1) ConfigMaps(namespace string) configMapInterface {
	return inNamespace(namespace, c.cluster.GetConfigMap, c.cluster.CreateConfigMap, c.cluster.UpdateConfigMap,
		c.cluster.PatchConfigMap, c.cluster.DeleteConfigMap, c.cluster.ListConfigMaps,
		func(items []corev1.ConfigMap) *corev1.ConfigMapList { return &corev1.ConfigMapList{Items: items} })
}

// verbs is a typed client of one kind, for one namespace or for cluster-scoped
// objects.
type verbs[T, L any] struct {
	get            func(context.Context, string) (*T, error)
	create, update func(context.Context, *T) (*T, error)
	patch          func(context.Context, string, types.PatchType, []byte) (*T, error)
	delete         func(context.Context, string, metav1.DeleteOptions) error
	list           func(context.Context) ([]*T, error)
	wrap           func([]T) *L
}

// inNamespace makes verbs of a Cluster's methods for a namespaced kind.
func inNamespace[T, L any](
	namespace string,
	get func(ctx context.Context, namespace, name string) (*T, error),
	create, update func(context.Context, *T) (*T, error),
	patch func(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*T, error),
	remove func(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error,
	list func(ctx context.Context, namespace string) ([]*T, error),
	wrap func([]T) *L,
) verbs[T, L] {
	return verbs[T, L]{
		get:    func(ctx context.Context, name string) (*T, error) { return get(ctx, namespace, name) },
		create: create,
		update: update,
		patch: func(ctx context.Context, name string, pt types.PatchType, data []byte) (*T, error) {
			return patch(ctx, namespace, name, pt, data)
		},
		delete: func(ctx context.Context, name string, opts metav1.DeleteOptions) error {
			return remove(ctx, namespace, name, opts)
		},
		list: func(ctx context.Context) ([]*T, error) { return list(ctx, namespace) },
		wrap: wrap,
	}
}

func (v verbs[T, L]) Create(ctx context.Context, object *T, _ metav1.CreateOptions) (*T, error) {
	return v.create(ctx, object)
}

func (v verbs[T, L]) Update(ctx context.Context, object *T, _ metav1.UpdateOptions) (*T, error) {
	return v.update(ctx, object)
}

func (v verbs[T, L]) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return v.delete(ctx, name, opts)
}

func (v verbs[T, L]) Get(ctx context.Context, name string, _ metav1.GetOptions) (*T, error) {
	return v.get(ctx, name)
}

func (v verbs[T, L]) List(ctx context.Context, _ metav1.ListOptions) (*L, error) {
	objects, err := v.list(ctx)
	if err != nil {
		return nil, err
	}
	var items []T
	for _, o := range objects {
		items = append(items, *o)
	}
	return v.wrap(items), nil
}

func (v verbs[T, L]) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*T, error) {
	return v.patch(ctx, name, pt, data)
}
