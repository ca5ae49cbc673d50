package apiserver

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

// A resource is the storage of objects of one kind.
type resource[T any, P object[T]] struct {
	hub     hub[T, P]
	getter  rest.Getter
	name    string // plural
	options metav1.GetOptions
}

func newResource[T any, P object[T]](scheme *runtime.Scheme, getter rest.Getter, name string, kind schema.GroupVersionKind) resource[T, P] {
	return resource[T, P]{hub: hub[T, P]{scheme, kind}, getter: getter, name: name}
}

// in returns ctx as that of a request with verb for the object: storage may look at
// either (SRV-25).
func (r *resource[T, P]) in(ctx context.Context, verb, namespace, name string) context.Context {
	ctx = request.WithNamespace(ctx, namespace)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: verb, Namespace: namespace, Name: name, Resource: r.name, Parts: []string{r.name, name},
		APIGroup: r.hub.kind.Group, APIVersion: r.hub.kind.Version,
	})
}

func (r *resource[T, P]) get(ctx context.Context, namespace, name string) (P, error) {
	options := r.options
	stored, err := r.getter.Get(r.in(ctx, "get", namespace, name), name, &options)
	if err != nil {
		return nil, err
	}
	return r.hub.served(stored)
}

// patch applies a merge patch, which may have a UID as a precondition.
func (r *resource[T, P]) patch(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (P, error) {
	if pt != types.MergePatchType {
		return nil, r.unsupported("patch")
	}
	return r.update(ctx, "patch", namespace, name, func(old P) (P, error) { return r.merge(old, data) })
}

// update changes an object to what change returns for the current one.
func (r *resource[T, P]) update(ctx context.Context, verb, namespace, name string, change func(P) (P, error)) (P, error) {
	updater, ok := r.getter.(rest.Updater)
	if !ok {
		return nil, r.unsupported(verb)
	}
	transform := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		old, err := r.hub.served(stored)
		if err != nil {
			return nil, err
		}
		changed, err := change(old)
		if err != nil {
			return nil, err
		}
		return r.hub.internal(changed)
	}
	stored, _, err := updater.Update(r.in(ctx, verb, namespace, name), name, rest.DefaultUpdatedObjectInfo(nil, transform),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return r.hub.served(stored)
}

func (r *resource[T, P]) unsupported(verb string) error {
	return apierrors.NewMethodNotSupported(schema.GroupResource{Group: r.hub.kind.Group, Resource: r.name}, verb)
}

// merge returns old with a merge patch. Errors don't hold anything of old.
func (r *resource[T, P]) merge(old P, patch []byte) (P, error) {
	data, err := json.Marshal(old)
	if err == nil {
		data, err = jsonpatch.MergePatch(data, patch)
	}
	patched := P(new(T))
	if err != nil || json.Unmarshal(data, patched) != nil {
		return nil, apierrors.NewBadRequest("apiserver: the merge patch can't be applied to a " + r.hub.kind.Kind)
	}
	if patched.GetUID() != old.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: r.hub.kind.Group, Resource: r.name}, old.GetName(),
			fmt.Errorf("precondition failed: UID in precondition: %v, UID in object meta: %v", patched.GetUID(), old.GetUID()))
	}
	return patched, nil
}
