package main

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/kubesa/serviceaccount/tenant"
)

// A resource is what one store has.
type resource struct {
	version            schema.GroupVersion
	name, singular     string
	namespaced         bool
	newObject, newList func() runtime.Object
}

var resources = []resource{
	{corev1.SchemeGroupVersion, "namespaces", "namespace", false, newOf[corev1.Namespace], newOf[corev1.NamespaceList]},
	{corev1.SchemeGroupVersion, "serviceaccounts", "serviceaccount", true, newOf[corev1.ServiceAccount], newOf[corev1.ServiceAccountList]},
	{corev1.SchemeGroupVersion, "secrets", "secret", true, newOf[corev1.Secret], newOf[corev1.SecretList]},
	{corev1.SchemeGroupVersion, "configmaps", "configmap", true, newOf[corev1.ConfigMap], newOf[corev1.ConfigMapList]},
	{corev1.SchemeGroupVersion, "pods", "pod", true, newOf[corev1.Pod], newOf[corev1.PodList]},
	{corev1.SchemeGroupVersion, "events", "event", true, newOf[corev1.Event], newOf[corev1.EventList]},
	{coordinationv1.SchemeGroupVersion, "leases", "lease", true, newOf[coordinationv1.Lease], newOf[coordinationv1.LeaseList]},
	{rbacv1.SchemeGroupVersion, "clusterroles", "clusterrole", false, newOf[rbacv1.ClusterRole], newOf[rbacv1.ClusterRoleList]},
	{rbacv1.SchemeGroupVersion, "clusterrolebindings", "clusterrolebinding", false, newOf[rbacv1.ClusterRoleBinding], newOf[rbacv1.ClusterRoleBindingList]},
	{rbacv1.SchemeGroupVersion, "roles", "role", true, newOf[rbacv1.Role], newOf[rbacv1.RoleList]},
	{rbacv1.SchemeGroupVersion, "rolebindings", "rolebinding", true, newOf[rbacv1.RoleBinding], newOf[rbacv1.RoleBindingList]},
}

func newOf[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// stores are the stores of all resources, by name.
type stores map[string]*registry.Store

// newStores returns the stores, which keep the objects of each tenant in etcd under a
// prefix of its own. There is no watch cache, which would be of all tenants.
func newStores(scheme *runtime.Scheme, etcd string) (stores, error) {
	codecs := serializer.NewCodecFactory(scheme)
	all := stores{}
	for _, r := range resources {
		group := schema.GroupResource{Group: r.version.Group, Resource: r.name}
		backend := storagebackend.NewDefaultConfig("/registry", codecs.LegacyCodec(r.version))
		backend.Transport.ServerList = []string{etcd}
		strategy := strategy{ObjectTyper: scheme, namespaced: r.namespaced}
		store := &registry.Store{
			NewFunc: r.newObject, NewListFunc: r.newList,
			DefaultQualifiedResource: group, SingularQualifiedResource: schema.GroupResource{Group: r.version.Group, Resource: r.singular},
			CreateStrategy: strategy, UpdateStrategy: strategy, DeleteStrategy: strategy,
			TableConvertor: rest.NewDefaultTableConvertor(group),
			KeyRootFunc:    keyRoot(r), KeyFunc: key(r),
		}
		if r.namespaced {
			store.BeginCreate = all.requireNamespace
		}
		options := &generic.StoreOptions{AttrFunc: attributes, RESTOptions: generic.RESTOptions{
			StorageConfig: backend.ForResource(group), Decorator: generic.UndecoratedStorage, DeleteCollectionWorkers: 1, ResourcePrefix: r.prefix(),
		}}
		if err := store.CompleteWithOptions(options); err != nil {
			return nil, fmt.Errorf("the store of %s: %w", r.name, err)
		}
		all[r.name] = store
	}
	return all, nil
}

// prefix returns where the objects of all tenants are.
func (r resource) prefix() string {
	if r.version.Group == "" {
		return "/core/" + r.name
	}
	return "/" + r.version.Group + "/" + r.name
}

// keyRoot returns where the objects of a request's tenant and namespace are.
func keyRoot(r resource) func(context.Context) string {
	return func(ctx context.Context) string {
		root := r.prefix() + "/" + tenant.Of(ctx)
		if namespace := request.NamespaceValue(ctx); r.namespaced && namespace != "" {
			root += "/" + namespace
		}
		return root
	}
}

// key returns where an object of the request's tenant and namespace is. A request without
// a tenant has none, and names that are no segment of a path would be of another one.
func key(r resource) func(context.Context, string) (string, error) {
	return func(ctx context.Context, name string) (string, error) {
		namespace := request.NamespaceValue(ctx)
		switch {
		case tenant.Of(ctx) == "":
			return "", apierrors.NewInternalError(fmt.Errorf("a request without a cluster"))
		case r.namespaced && namespace == "":
			return "", apierrors.NewBadRequest("namespace is required")
		case name == "" || len(content.IsPathSegmentName(name)) > 0 || len(content.IsPathSegmentName(namespace)) > 0:
			return "", apierrors.NewBadRequest(fmt.Sprintf("%.64q is no name", name))
		}
		return keyRoot(r)(ctx) + "/" + name, nil
	}
}

// requireNamespace refuses objects whose namespace doesn't exist.
func (s stores) requireNamespace(ctx context.Context, _ runtime.Object, _ *metav1.CreateOptions) (registry.FinishFunc, error) {
	if _, err := s["namespaces"].Get(ctx, request.NamespaceValue(ctx), &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return func(context.Context, bool) {}, nil
}

// A namespaceStore deletes what is in a Namespace before the Namespace.
type namespaceStore struct {
	*registry.Store
	all stores
}

func (s namespaceStore) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	if len(o.DryRun) == 0 {
		if _, err := s.Get(ctx, name, &metav1.GetOptions{}); err != nil {
			return nil, false, err
		}
		for _, r := range resources {
			if !r.namespaced {
				continue
			}
			now := &metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
			if _, err := s.all[r.name].DeleteCollection(request.WithNamespace(ctx, name), rest.ValidateAllObjectFunc, now, &metainternalversion.ListOptions{}); err != nil {
				return nil, false, err
			}
		}
	}
	return s.Store.Delete(ctx, name, validate, o)
}

// attributes returns what selectors can select.
func attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	m, err := meta.Accessor(object)
	if err != nil {
		return nil, nil, err
	}
	set := fields.Set{metav1.ObjectNameField: m.GetName(), "metadata.namespace": m.GetNamespace()}
	if secret, ok := object.(*corev1.Secret); ok {
		set["type"] = string(secret.Type)
	}
	return m.GetLabels(), set, nil
}
