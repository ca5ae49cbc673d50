package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tenant"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// A Reader reads from the caches of a [Manager]. It has the methods of every Reader
// of package sacontroller. It makes no requests. It is stale by as long as a watch
// takes, and empty until [Manager.Run] has filled it. The objects that it returns
// must not be changed. It is safe for concurrent use.
//
// Reading a resource that no controller of the Manager watches is an error. Secrets
// that aren't token Secrets are NotFound.
//
// With [Config.Tenants] it reads from those of the tenant that the context names. Of one
// that hasn't joined, or has left, every method returns a [*tenant.UnknownError].
type Reader struct{ manager *Manager }

// GetNamespace returns the Namespace called name.
func (r *Reader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return getIn[corev1.Namespace](ctx, r, "namespaces", name, Namespaces)
}

// ListNamespaces returns all Namespaces in the order of their names.
func (r *Reader) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return listIn[corev1.Namespace](ctx, r, Namespaces, "", "")
}

// GetServiceAccount returns the ServiceAccount of that name. It has nothing but
// metadata if no controller watches [ServiceAccounts].
func (r *Reader) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return getIn[corev1.ServiceAccount](ctx, r, "serviceaccounts", namespace+"/"+name, ServiceAccounts, ServiceAccountMetadata)
}

// GetSecret returns the token Secret of that name.
func (r *Reader) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return getIn[corev1.Secret](ctx, r, "secrets", namespace+"/"+name, TokenSecrets)
}

// ListSecrets returns the token Secrets of namespace, or of all if it is empty,
// in the order of namespace and name.
func (r *Reader) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return listIn[corev1.Secret](ctx, r, TokenSecrets, byNamespace, namespace)
}

// TokenSecrets returns the token Secrets that name the account, in the order of
// their names, from an index.
func (r *Reader) TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error) {
	return listIn[corev1.Secret](ctx, r, TokenSecrets, byAccount, accountKey(namespace, serviceAccountName))
}

// ListPods returns the Pods of namespace, or of all if it is empty, without their
// status, in the order of namespace and name.
func (r *Reader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return listIn[corev1.Pod](ctx, r, Pods, byNamespace, namespace)
}

// GetConfigMap returns the ConfigMap of that name, which must be one of
// [RootCAConfigMaps] or the [TrackingConfigMap].
func (r *Reader) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	resource := RootCAConfigMaps
	if namespace == trackingNamespace && name == trackingName {
		resource = TrackingConfigMap
	} else if name != rootCAName {
		return nil, fmt.Errorf("manager: ConfigMap %s/%s is not watched", namespace, name)
	}
	return getIn[corev1.ConfigMap](ctx, r, "configmaps", namespace+"/"+name, resource)
}

// ListClusterTrustBundles returns the ClusterTrustBundles of the signer, which must be that
// of [ServingTrustBundles], in the order of their names.
func (r *Reader) ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error) {
	if signerName != rootca.ServingSigner {
		return nil, fmt.Errorf("manager: ClusterTrustBundles of the signer %.100q are not watched", signerName)
	}
	bundles, err := listIn[certificatesv1.ClusterTrustBundle](ctx, r, ServingTrustBundles, "", "")
	return slices.DeleteFunc(bundles, func(b *certificatesv1.ClusterTrustBundle) bool { // client-go's fake ignores field selectors
		return b.Spec.SignerName != signerName
	}), err
}

// getIn is get in the cluster of the tenant of ctx.
func getIn[T any](ctx context.Context, r *Reader, plural, key string, resources ...Resource) (*T, error) {
	c, err := r.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return get[T](c, plural, key, resources...)
}

// listIn is list in the cluster of the tenant of ctx.
func listIn[T any](ctx context.Context, r *Reader, resource Resource, index, value string) ([]*T, error) {
	c, err := r.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return list[T](c, resource, index, value)
}

func (r *Reader) cluster(ctx context.Context) (*cluster, error) {
	name := ""
	if r.manager.cfg.Tenants {
		name = tenant.Of(ctx)
	}
	if c := r.manager.clusterOf(name); c != nil {
		return c, nil
	}
	return nil, &tenant.UnknownError{Name: name}
}

// get returns the object with that key of the first of resources that is watched.
func get[T any](c *cluster, plural, key string, resources ...Resource) (*T, error) {
	indexer, err := c.indexer(resources...)
	if err != nil {
		return nil, err
	}
	object, exists, err := indexer.GetByKey(key)
	if err != nil {
		return nil, fmt.Errorf("manager: looking up %s in the cache of %s: %v", key, plural, err)
	}
	typed, ok := object.(*T)
	if !exists || !ok || !served(object) {
		name := key[strings.IndexByte(key, '/')+1:]
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: plural}, name)
	}
	return typed, nil
}

// list returns the objects of resource that index has under value, or all if
// value is empty.
func list[T any](c *cluster, resource Resource, index, value string) ([]*T, error) {
	indexer, err := c.indexer(resource)
	if err != nil {
		return nil, err
	}
	objects := []any(nil)
	if value == "" {
		objects = indexer.List()
	} else if objects, err = indexer.ByIndex(index, value); err != nil {
		return nil, fmt.Errorf("manager: looking up %s in the cache of %s: %v", value, resource, err)
	}
	typed := make([]*T, 0, len(objects))
	for _, o := range objects {
		if t, ok := o.(*T); ok && served(o) {
			typed = append(typed, t)
		}
	}
	slices.SortFunc(typed, func(a, b *T) int { return strings.Compare(nameOf(a), nameOf(b)) })
	return typed, nil
}

// served reports whether the caches should have object: client-go's fake sends
// Secrets of every type.
func served(object any) bool {
	secret, ok := object.(*corev1.Secret)
	return !ok || tokensecret.Is(secret)
}

// nameOf returns a text by which objects sort by namespace, then name: NUL sorts
// before any character of a name.
func nameOf(object any) string {
	o, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return o.GetNamespace() + "\x00" + o.GetName()
}

func (c *cluster) indexer(resources ...Resource) (cache.Indexer, error) {
	for _, resource := range resources {
		if informer, ok := c.informers[resource]; ok {
			return informer.GetIndexer(), nil
		}
	}
	return nil, fmt.Errorf("manager: %s are not watched, want a controller that was added with them", resources[0])
}
