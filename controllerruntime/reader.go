package saruntime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// A Reader reads from the cache of a [Runtime]: it has the methods of every Reader of
// package sacontroller, and the getters of the other packages. It writes nothing, so
// it can't be the Client of a controller. What it returns is shared with the cache
// and must not be changed. It is safe for concurrent use.
//
// It is stale by as long as a watch takes. The first read of a kind that nothing
// watches yet starts a watch and waits until it has listed. Before the manager has
// started, every read is an error.
type Reader struct {
	cache cache.Cache
	own   bool // made by New: it has no more than reduced says

	mu      sync.Mutex
	indexed bool
}

// GetNamespace returns the Namespace called name.
func (r *Reader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get[corev1.Namespace](ctx, r, "namespaces", "", name)
}

// ListNamespaces returns all Namespaces in the order of their names.
func (r *Reader) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	var list corev1.NamespaceList
	err := r.list(ctx, &list, "")
	return sorted(list.Items, err)
}

// GetNode returns the Node called name.
func (r *Reader) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return get[corev1.Node](ctx, r, "nodes", "", name)
}

// GetServiceAccount returns the ServiceAccount of that name.
func (r *Reader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get[corev1.ServiceAccount](ctx, r, "serviceaccounts", namespace, name)
}

// GetSecret returns the Secret of that name. Without [Config.Cache], those that are no
// token Secrets are NotFound.
func (r *Reader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get[corev1.Secret](ctx, r, "secrets", namespace, name)
}

// ListSecrets returns the token Secrets of namespace, or of all if it is empty, in the
// order of namespace and name.
func (r *Reader) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	var list corev1.SecretList
	err := r.list(ctx, &list, namespace)
	list.Items = slices.DeleteFunc(list.Items, func(s corev1.Secret) bool { return !tokensecret.Is(&s) })
	return sorted(list.Items, err)
}

// TokenSecrets returns the token Secrets that name the account, in the order of their
// names, from a field index of the cache, which the first call adds.
func (r *Reader) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	if err := r.index(ctx); err != nil {
		return nil, err
	}
	var list corev1.SecretList
	err := r.list(ctx, &list, namespace, client.MatchingFields{accountField: serviceAccountName})
	return sorted(list.Items, err)
}

// GetPod returns the Pod of that name. Without [Config.Cache] it has no status.
func (r *Reader) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return get[corev1.Pod](ctx, r, "pods", namespace, name)
}

// ListPods returns the Pods of namespace, or of all if it is empty, in the order of
// namespace and name. Without [Config.Cache] they have no status.
func (r *Reader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	var list corev1.PodList
	err := r.list(ctx, &list, namespace)
	return sorted(list.Items, err)
}

// GetConfigMap returns the ConfigMap of that name. Without [Config.Cache] it must be
// kube-root-ca.crt or one of kube-system.
func (r *Reader) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if r.own && name != rootCAName && namespace != systemNamespace {
		return nil, fmt.Errorf("saruntime: ConfigMap %s/%s is not watched, want Config.Cache set to a cache that has it", namespace, name)
	}
	return get[corev1.ConfigMap](ctx, r, "configmaps", namespace, name)
}

// GetClusterTrustBundle returns the ClusterTrustBundle called name. Without [Config.Cache]
// it must be one of [rootca.ServingSigner], by the prefix of its name.
func (r *Reader) GetClusterTrustBundle(ctx context.Context, name string) (*certificatesv1.ClusterTrustBundle, error) {
	if r.own && !strings.HasPrefix(name, servingPrefix) {
		return nil, fmt.Errorf("saruntime: the ClusterTrustBundle %.100q is not watched, want Config.Cache set to a cache that has it", name)
	}
	bundle, err := get[certificatesv1.ClusterTrustBundle](ctx, r, "clustertrustbundles", "", name)
	if apierrors.IsNotFound(err) {
		err = apierrors.NewNotFound(certificatesv1.Resource("clustertrustbundles"), name)
	}
	return bundle, err
}

// servingPrefix is that of the names of the ClusterTrustBundles of [rootca.ServingSigner].
var servingPrefix = strings.ReplaceAll(rootca.ServingSigner, "/", ":") + ":"

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, or all of them if
// it is empty, in the order of their names. Without [Config.Cache] it must be
// [rootca.ServingSigner].
func (r *Reader) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	if r.own && signerName != rootca.ServingSigner {
		return nil, fmt.Errorf("saruntime: ClusterTrustBundles of the signer %.100q are not watched, want Config.Cache set to a cache that has them", signerName)
	}
	var list certificatesv1.ClusterTrustBundleList
	err := r.list(ctx, &list, "")
	list.Items = slices.DeleteFunc(list.Items, func(b certificatesv1.ClusterTrustBundle) bool {
		return signerName != "" && b.Spec.SignerName != signerName
	})
	return sorted(list.Items, err)
}

// get reads one object from the cache. The copy of the struct shares all else with
// the cache. That names the kind in a NotFound, the API the resource.
func get[T any, P object[T]](ctx context.Context, r *Reader, resource, namespace, name string) (*T, error) {
	found := P(new(T))
	err := r.cache.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(corev1.Resource(resource), name)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (r *Reader) list(ctx context.Context, list client.ObjectList, namespace string, opts ...client.ListOption) error {
	return r.cache.List(ctx, list, append(opts, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)...)
}

// sorted returns pointers to items by namespace, then name: NUL sorts before any
// character of a name.
func sorted[T any, P object[T]](items []T, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	pointers := make([]*T, len(items))
	for i := range items {
		pointers[i] = &items[i]
	}
	key := func(o P) string { return o.GetNamespace() + "\x00" + o.GetName() }
	slices.SortFunc(pointers, func(a, b *T) int { return strings.Compare(key(a), key(b)) })
	return pointers, nil
}

// accountField is the name of the index of token Secrets by the account that they
// name.
const accountField = "kubesa.io/token-of"

// index adds that index to the cache, once.
func (r *Reader) index(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.indexed {
		return nil
	}
	err := r.cache.IndexField(ctx, &corev1.Secret{}, accountField, func(o client.Object) []string {
		secret, _ := o.(*corev1.Secret)
		if !tokensecret.Is(secret) {
			return nil
		}
		name, _ := tokensecret.Owner(secret)
		return []string{name}
	})
	// Another Reader of the same cache may have added it.
	if err != nil && r.list(ctx, &corev1.SecretList{}, "", client.MatchingFields{accountField: ""}) != nil {
		return fmt.Errorf("saruntime: indexing Secrets: %v", err)
	}
	r.indexed = true
	return nil
}
