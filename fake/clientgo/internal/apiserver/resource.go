package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
)

// A Resource is one kind of the Cluster, for callers that know its objects only
// as runtime.Object. Objects and lists are of the types of k8s.io/api/core/v1,
// belong to the caller, and are an untyped nil together with an error. An object
// of another type, or none, is refused with 400.
type Resource interface {
	GVR() schema.GroupVersionResource
	GVK() schema.GroupVersionKind
	New() runtime.Object
	NewList() runtime.Object

	Create(ctx context.Context, namespace string, object runtime.Object, opts metav1.CreateOptions) (runtime.Object, error)
	Update(ctx context.Context, namespace, subresource string, object runtime.Object, opts metav1.UpdateOptions) (runtime.Object, error)
	Patch(ctx context.Context, namespace, name, subresource string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (runtime.Object, error)
	Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
	DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) error
	Get(ctx context.Context, namespace, name, subresource string) (runtime.Object, error)
	List(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error)
	Watch(ctx context.Context, namespace string, opts metav1.ListOptions) (watch.Interface, error)

	// NoSubresource is the answer to a call of a subresource that there is not.
	NoSubresource(subresource, name string) error
}

// pointer is a pointer to a T that the Cluster can store.
type pointer[T any] interface {
	*T
	metav1.Object
	runtime.Object
}

type client[T, L any, P pointer[T]] = fake.Client[T, L, P]

// update updates one subresource.
type update[P any] func(context.Context, P, metav1.UpdateOptions) (P, error)

// typed is the Resource of objects T in lists L.
type typed[T, L any, P pointer[T]] struct {
	server     *Server
	kind       string
	resource   string
	namespaced bool
	status     bool
	in         func(namespace string) *client[T, L, P]
	sub        map[string]update[P] // besides "status"
}

func (t *typed[T, L, P]) GVR() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource(t.resource)
}
func (t *typed[T, L, P]) GVK() schema.GroupVersionKind {
	return corev1.SchemeGroupVersion.WithKind(t.kind)
}
func (t *typed[T, L, P]) New() runtime.Object     { return P(new(T)) }
func (t *typed[T, L, P]) NewList() runtime.Object { return any(new(L)).(runtime.Object) }

func (t *typed[T, L, P]) NoSubresource(subresource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: t.resource + "/" + subresource}, name)
}

// Create creates object in namespace.
func (t *typed[T, L, P]) Create(ctx context.Context, namespace string, object runtime.Object, opts metav1.CreateOptions) (runtime.Object, error) {
	ctx, o, err := t.receive(ctx, namespace, object, "an empty namespace may not be set during creation")
	if err != nil {
		return nil, err
	}
	return answer[T](t.in(namespace).Create(ctx, o, opts))
}

// Update replaces the object, or one subresource of it.
func (t *typed[T, L, P]) Update(ctx context.Context, namespace, subresource string, object runtime.Object, opts metav1.UpdateOptions) (runtime.Object, error) {
	ctx, o, err := t.receive(ctx, namespace, object, noNamespace)
	if err != nil {
		return nil, err
	}
	switch other := t.sub[subresource]; {
	case subresource == "":
		return answer[T](t.in(namespace).Update(ctx, o, opts))
	case subresource == "status" && t.status:
		return answer[T](t.in(namespace).UpdateStatus(ctx, o, opts))
	case other != nil && t.namespaced && o.GetNamespace() != namespace && o.GetNamespace() != "":
		return nil, apierrors.NewBadRequest(otherNamespace)
	case other != nil:
		sent := o.DeepCopyObject().(P)
		sent.SetNamespace(namespace)
		return answer[T](other(ctx, sent, opts))
	}
	return nil, t.NoSubresource(subresource, o.GetName())
}

// Patch patches the object called name, or one subresource of it.
func (t *typed[T, L, P]) Patch(ctx context.Context, namespace, name, subresource string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (runtime.Object, error) {
	ctx, err := t.enter(ctx, namespace, noNamespace)
	if err != nil {
		return nil, err
	}
	return answer[T](t.in(namespace).Patch(ctx, name, pt, data, opts, subresource))
}

// Delete deletes the object called name.
func (t *typed[T, L, P]) Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	ctx, err := t.enter(ctx, namespace, noNamespace)
	if err != nil {
		return err
	}
	return t.in(namespace).Delete(ctx, name, opts)
}

// DeleteCollection deletes what listOpts selects in one namespace: the API
// server has no such call for all of them.
func (t *typed[T, L, P]) DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) error {
	if t.namespaced && namespace == "" || t.resource == "namespaces" {
		return apierrors.NewMethodNotSupported(t.GVR().GroupResource(), "delete")
	}
	ctx, err := t.enter(ctx, namespace, "")
	if err != nil {
		return err
	}
	return t.in(namespace).DeleteCollection(ctx, opts, listOpts)
}

// Get returns the object called name; "status" gives the whole object, too.
func (t *typed[T, L, P]) Get(ctx context.Context, namespace, name, subresource string) (runtime.Object, error) {
	ctx, err := t.enter(ctx, namespace, noNamespace)
	if err != nil {
		return nil, err
	}
	if subresource != "" && (subresource != "status" || !t.status) {
		return nil, t.NoSubresource(subresource, name)
	}
	return answer[T](t.in(namespace).Get(ctx, name, metav1.GetOptions{}))
}

// List returns what opts selects, of every namespace if it is empty.
func (t *typed[T, L, P]) List(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
	ctx, err := t.enter(ctx, namespace, "")
	if err != nil {
		return nil, err
	}
	list, err := t.in(namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	return any(list).(runtime.Object), nil
}

// Watch watches what opts selects until it is stopped or ctx is done.
func (t *typed[T, L, P]) Watch(ctx context.Context, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	ctx, err := t.enter(ctx, namespace, "")
	if err != nil {
		return nil, err
	}
	return t.in(namespace).Watch(ctx, opts)
}

const (
	noNamespace    = "an empty namespace may not be set when a resource name is provided"
	otherNamespace = "the namespace of the provided object does not match the namespace sent on the request"
)

// enter lets a call in. The text is the error if it has no namespace but needs
// one.
func (t *typed[T, L, P]) enter(ctx context.Context, namespace, text string) (context.Context, error) {
	ctx, _, err := t.server.login(ctx)
	if err == nil && t.namespaced && namespace == "" && text != "" {
		err = apierrors.NewBadRequest(text)
	}
	return ctx, err
}

// receive lets a call in that sends object.
func (t *typed[T, L, P]) receive(ctx context.Context, namespace string, object runtime.Object, text string) (context.Context, P, error) {
	ctx, err := t.enter(ctx, namespace, text)
	if err != nil {
		return nil, nil, err
	}
	o, ok := object.(P)
	if !ok || o == nil {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("got a %T, want a non-nil %s", object, t.kind))
	}
	return ctx, o, nil
}

// answer is o as a runtime.Object that is nil if there is none.
func answer[T any, P pointer[T]](o P, err error) (runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return o, nil
}
