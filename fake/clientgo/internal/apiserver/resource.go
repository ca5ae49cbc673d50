package apiserver

import (
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A Resource is one kind of the Cluster behind the Server's login. It checks what the
// path of a request says, and leaves the rest to the Cluster. Objects and lists
// belong to the caller, and are an untyped nil together with an error. An object
// of another type, or none, is refused with 400.
type Resource struct {
	server *Server
	kind   *object.Kind
	store  *fake.Resource
}

func (r *Resource) GVR() schema.GroupVersionResource {
	return r.kind.GroupVersion().WithResource(r.kind.Resource)
}
func (r *Resource) GVK() schema.GroupVersionKind {
	return r.kind.GroupVersion().WithKind(r.kind.Name)
}
func (r *Resource) New() runtime.Object     { return r.kind.New() }
func (r *Resource) NewList() runtime.Object { return r.kind.List(object.Page{}) }

// HasField reports whether a field selector may name the field.
func (r *Resource) HasField(name string) bool { return object.FieldsOf(r.kind, r.kind.New()).Has(name) }

// Create creates o in namespace.
func (r *Resource) Create(ctx context.Context, namespace string, o runtime.Object, opts metav1.CreateOptions) (runtime.Object, error) {
	ctx, sent, err := r.receive(ctx, namespace, o, "an empty namespace may not be set during creation")
	if err != nil {
		return nil, err
	}
	return answer(r.store.Create(ctx, sent, opts))
}

// Update replaces the object, or one subresource of it.
func (r *Resource) Update(ctx context.Context, namespace, subresource string, o runtime.Object, opts metav1.UpdateOptions) (runtime.Object, error) {
	ctx, sent, err := r.receive(ctx, namespace, o, noNamespace)
	if err != nil {
		return nil, err
	}
	if !r.stores(subresource) {
		return nil, r.NoSubresource(subresource, sent.GetName())
	}
	return answer(r.store.Update(ctx, subresource, sent, opts))
}

// Patch patches the object called name, or one subresource of it.
func (r *Resource) Patch(ctx context.Context, namespace, name, subresource string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (runtime.Object, error) {
	ctx, err := r.enter(ctx, namespace, noNamespace)
	if err != nil {
		return nil, err
	}
	return answer(r.store.Patch(ctx, namespace, name, subresource, pt, data, opts))
}

// Delete deletes the object called name.
func (r *Resource) Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	ctx, err := r.enter(ctx, namespace, noNamespace)
	if err == nil {
		_, err = r.store.Delete(ctx, namespace, name, opts)
	}
	return err
}

// DeleteCollection deletes what listOpts selects in one namespace: the API
// server has no such call for all of them.
func (r *Resource) DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) error {
	if r.kind.Namespaced && namespace == "" || r.kind == object.Namespaces {
		return apierrors.NewMethodNotSupported(r.kind.GroupResource(), "delete")
	}
	ctx, err := r.enter(ctx, namespace, "")
	if err == nil {
		_, _, err = r.store.DeleteCollection(ctx, namespace, opts, listOpts)
	}
	return err
}

// Get returns the object called name, the whole of it for a subresource, too.
func (r *Resource) Get(ctx context.Context, namespace, name, subresource string) (runtime.Object, error) {
	ctx, err := r.enter(ctx, namespace, noNamespace)
	if err != nil {
		return nil, err
	}
	if !r.stores(subresource) || subresource == object.FinalizeSubresource {
		return nil, r.NoSubresource(subresource, name)
	}
	return answer(r.store.Get(ctx, namespace, name))
}

// List returns what opts selects, of every namespace if it is empty.
func (r *Resource) List(ctx context.Context, namespace string, opts metav1.ListOptions) (runtime.Object, error) {
	ctx, err := r.enter(ctx, namespace, "")
	if err != nil {
		return nil, err
	}
	items, meta, err := r.store.List(ctx, namespace, opts)
	if err != nil {
		return nil, err
	}
	return r.kind.List(object.Page{Items: items, Meta: meta}), nil
}

// Watch watches what opts selects until it is stopped or ctx is done.
func (r *Resource) Watch(ctx context.Context, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	ctx, err := r.enter(ctx, namespace, "")
	if err != nil {
		return nil, err
	}
	w, err := r.store.Watch(ctx, namespace, opts)
	if err != nil {
		return nil, err
	}
	return w.Interface(ctx), nil
}

// NoSubresource is the answer to a call of a subresource that there is not.
func (r *Resource) NoSubresource(subresource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: r.kind.Resource + "/" + subresource}, name)
}

// stores reports whether subresource is a part of the stored object.
func (r *Resource) stores(subresource string) bool {
	return subresource == "" || subresource != object.TokenSubresource && r.kind.HasSubresource(subresource)
}

const (
	noNamespace    = "an empty namespace may not be set when a resource name is provided"
	otherNamespace = "the namespace of the provided object does not match the namespace sent on the request"
)

// enter lets a call in. The text is the error if it has no namespace but needs
// one.
func (r *Resource) enter(ctx context.Context, namespace, text string) (context.Context, error) {
	ctx, _, err := r.server.login(ctx)
	if err == nil && r.kind.Namespaced && namespace == "" && text != "" {
		err = apierrors.NewBadRequest(text)
	}
	return ctx, err
}

// receive lets a call in that sends o, and puts o into the namespace of the call.
func (r *Resource) receive(ctx context.Context, namespace string, o runtime.Object, text string) (context.Context, object.Object, error) {
	ctx, err := r.enter(ctx, namespace, text)
	if err != nil {
		return nil, nil, err
	}
	sent, ok := o.(object.Object)
	if !ok || object.KindOf(o) != r.kind {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("got a %v, want a non-nil %s", reflect.TypeOf(o), r.kind.Name))
	}
	if r.kind.Namespaced && sent.GetNamespace() != namespace {
		if sent.GetNamespace() != "" {
			return nil, nil, apierrors.NewBadRequest(otherNamespace)
		}
		sent = object.CopyOf(sent)
		sent.SetNamespace(namespace)
	}
	return ctx, sent, nil
}

// answer is o as a runtime.Object that is nil if there is none.
func answer(o object.Object, err error) (runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return o, nil
}
