package objects

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// An object is a type of the API.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// A Resource is the storage of objects of one kind.
type Resource[T any, P object[T]] struct {
	Hub[T, P]
	getter  rest.Getter
	name    string // plural
	options metav1.GetOptions
}

// NewResource returns the storage getter of the resource called name; scheme may be nil.
func NewResource[T any, P object[T]](scheme *runtime.Scheme, getter rest.Getter, name string, kind schema.GroupVersionKind) Resource[T, P] {
	return Resource[T, P]{Hub: Hub[T, P]{scheme, kind}, getter: getter, name: name}
}

// In returns ctx as that of a request with verb for the object: storage may look at
// either (SRV-25).
func (r *Resource[T, P]) In(ctx context.Context, verb, namespace, name string) context.Context {
	ctx = request.WithNamespace(ctx, namespace)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: verb, Namespace: namespace, Name: name, Resource: r.name, Parts: []string{r.name, name},
		APIGroup: r.Kind.Group, APIVersion: r.Kind.Version,
	})
}

// Get returns an object.
func (r *Resource[T, P]) Get(ctx context.Context, namespace, name string) (P, error) {
	options := r.options
	stored, err := r.getter.Get(r.In(ctx, "get", namespace, name), name, &options)
	if err != nil {
		return nil, err
	}
	return r.Served(stored)
}

// Cached returns r as it is in the watch cache of the storage.
func (r Resource[T, P]) Cached() Resource[T, P] {
	r.options.ResourceVersion = "0"
	return r
}

// Patch applies a merge patch, which may have a UID as a precondition.
func (r *Resource[T, P]) Patch(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (P, error) {
	if pt != types.MergePatchType {
		return nil, r.unsupported("patch")
	}
	return r.Update(ctx, "patch", namespace, name, func(old P) (P, error) { return r.merge(old, data) })
}

// Update changes an object to what change returns for the current one.
func (r *Resource[T, P]) Update(ctx context.Context, verb, namespace, name string, change func(P) (P, error)) (P, error) {
	updater, ok := r.getter.(rest.Updater)
	if !ok {
		return nil, r.unsupported(verb)
	}
	transform := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		old, err := r.Served(stored)
		if err != nil {
			return nil, err
		}
		changed, err := change(old)
		if err != nil {
			return nil, err
		}
		return r.Internal(changed)
	}
	stored, _, err := updater.Update(r.In(ctx, verb, namespace, name), name, rest.DefaultUpdatedObjectInfo(nil, transform),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return r.Served(stored)
}

func (r *Resource[T, P]) unsupported(verb string) error {
	return apierrors.NewMethodNotSupported(schema.GroupResource{Group: r.Kind.Group, Resource: r.name}, verb)
}

// merge returns old with a merge patch. Errors don't hold anything of old.
func (r *Resource[T, P]) merge(old P, patch []byte) (P, error) {
	data, err := json.Marshal(old)
	if err == nil {
		data, err = jsonpatch.MergePatch(data, patch)
	}
	patched := P(new(T))
	if err != nil || json.Unmarshal(data, patched) != nil {
		return nil, apierrors.NewBadRequest("apiserver: the merge patch can't be applied to a " + r.Kind.Kind)
	}
	if patched.GetUID() != old.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: r.Kind.Group, Resource: r.name}, old.GetName(),
			fmt.Errorf("precondition failed: UID in precondition: %v, UID in object meta: %v", patched.GetUID(), old.GetUID()))
	}
	return patched, nil
}
