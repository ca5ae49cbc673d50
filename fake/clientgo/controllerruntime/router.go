package controllerruntime

import (
	"context"
	"reflect"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
)

// router sends calls to the server that knows the kind.
type router struct {
	server   *apiserver.Server
	indexing *sync.Mutex // held while base looks into its indices
}

// resource returns the resource of o or of a list, nil if base has it.
func (r router) resource(base client.Client, o runtime.Object) (*apiserver.Resource, error) {
	if isNil(o) {
		return nil, apierrors.NewBadRequest("the object is nil")
	}
	gvk, err := base.GroupVersionKindFor(o)
	if err != nil {
		return nil, nil // base has something to say about it
	}
	if _, ok := o.(client.ObjectList); ok {
		gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	}
	return r.server.Kind(gvk), nil
}

func isNil(o any) bool {
	v := reflect.ValueOf(o)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

func (r router) get(ctx context.Context, base client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.Get(ctx, key, obj, opts...)
	}
	found, err := resource.Get(ctx, key.Namespace, key.Name, "")
	return give(found, err, obj, resource.GVK())
}

func (r router) list(ctx context.Context, base client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	resource, err := r.resource(base, list)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.List(ctx, list, opts...)
	}
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if asksIndex(resource, o) {
		found, err := r.indexed(ctx, base, resource, *o)
		return giveList(found, err, list, resource.GVK())
	}
	found, err := resource.List(ctx, o.Namespace, *o.AsListOptions())
	return giveList(found, err, list, resource.GVK())
}

func (r router) watch(ctx context.Context, base client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
	resource, err := r.resource(base, list)
	switch {
	case err != nil:
		return nil, err
	case resource == nil:
		return base.Watch(ctx, list, opts...)
	}
	o := (&client.ListOptions{}).ApplyOptions(opts)
	w, err := resource.Watch(ctx, o.Namespace, *o.AsListOptions())
	if err != nil {
		return nil, err
	}
	return watching(w, list, resource.GVK()), nil
}

func (r router) create(ctx context.Context, base client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	resource, err := r.resource(base, obj)
	if err != nil {
		return err
	}
	if resource == nil {
		return r.review(ctx, base, obj, opts...)
	}
	o := (&client.CreateOptions{}).ApplyOptions(opts)
	sent, err := take(obj, resource.New(), o.FieldValidation)
	if err != nil {
		return err
	}
	created, err := resource.Create(ctx, obj.GetNamespace(), sent, *o.AsCreateOptions())
	return give(created, err, obj, resource.GVK())
}

// review creates what is none of the seven kinds.
func (r router) review(ctx context.Context, base client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	gvk, err := base.GroupVersionKindFor(obj)
	if err != nil {
		return base.Create(ctx, obj, opts...)
	}
	for _, review := range r.server.Reviews() {
		switch {
		case gvk == review.GVK:
			sent, err := take(obj, review.New(), "")
			if err != nil {
				return err
			}
			answer, err := review.Create(ctx, "", sent)
			return give(answer, err, obj, gvk)
		case gvk.GroupKind() == review.GVK.GroupKind(): // an old version
			return apierrors.NewNotFound(review.GVR.GroupResource(), "")
		}
	}
	return base.Create(ctx, obj, opts...)
}

func (r router) update(ctx context.Context, base client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.Update(ctx, obj, opts...)
	}
	o := (&client.UpdateOptions{}).ApplyOptions(opts)
	sent, err := take(obj, resource.New(), o.FieldValidation)
	if err != nil {
		return err
	}
	updated, err := resource.Update(ctx, obj.GetNamespace(), "", sent, *o.AsUpdateOptions())
	return give(updated, err, obj, resource.GVK())
}

func (r router) patch(ctx context.Context, base client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.Patch(ctx, obj, patch, opts...)
	case isNil(patch):
		return apierrors.NewBadRequest("the patch is nil")
	}
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	o := (&client.PatchOptions{}).ApplyOptions(opts)
	patched, err := resource.Patch(ctx, obj.GetNamespace(), obj.GetName(), "", patch.Type(), data, *o.AsPatchOptions())
	return give(patched, err, obj, resource.GVK())
}

func (r router) delete(ctx context.Context, base client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.Delete(ctx, obj, opts...)
	}
	o := (&client.DeleteOptions{}).ApplyOptions(opts)
	return resource.Delete(ctx, obj.GetNamespace(), obj.GetName(), *o.AsDeleteOptions())
}

func (r router) deleteAllOf(ctx context.Context, base client.WithWatch, obj client.Object, opts ...client.DeleteAllOfOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.DeleteAllOf(ctx, obj, opts...)
	}
	o := (&client.DeleteAllOfOptions{}).ApplyOptions(opts)
	return resource.DeleteCollection(ctx, o.Namespace, *o.AsDeleteOptions(), *o.AsListOptions())
}
