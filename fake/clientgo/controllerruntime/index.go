package controllerruntime

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
)

// indexed answers a list that selects by a field which the API doesn't have, but base
// may have an index of: nobody else can call the functions that the builder was given.
// So base gets copies of the objects and chooses. Without such an index it is the API
// that answers.
func (r router) indexed(ctx context.Context, base client.WithWatch, resource *apiserver.Resource, opts client.ListOptions) (runtime.Object, error) {
	r.indexing.Lock()
	defer r.indexing.Unlock()
	selecting := &client.ListOptions{Namespace: opts.Namespace, FieldSelector: opts.FieldSelector}
	if err := base.List(ctx, resource.NewList().(client.ObjectList), selecting); err != nil {
		return resource.List(ctx, opts.Namespace, *opts.AsListOptions())
	}
	limit := int(opts.Limit)
	opts.FieldSelector, opts.Raw, opts.Limit = nil, nil, 0
	found, err := resource.List(ctx, opts.Namespace, *opts.AsListOptions())
	if err != nil {
		return nil, err
	}
	items, err := meta.ExtractList(found)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if err := stage(ctx, base, item.DeepCopyObject().(client.Object)); err != nil {
			return nil, err
		}
	}
	chosen := resource.NewList().(client.ObjectList)
	if err := base.List(ctx, chosen, selecting); err != nil {
		return nil, err
	}
	names := map[types.NamespacedName]bool{}
	err = meta.EachListItem(chosen, func(o runtime.Object) error {
		names[client.ObjectKeyFromObject(o.(client.Object))] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	var selected []runtime.Object
	for _, item := range items {
		if names[client.ObjectKeyFromObject(item.(client.Object))] && (limit <= 0 || len(selected) < limit) {
			selected = append(selected, item)
		}
	}
	return found, meta.SetList(found, selected)
}

// stage makes base hold o, as far as an index can see.
func stage(ctx context.Context, base client.WithWatch, o client.Object) error {
	o.SetDeletionTimestamp(nil) // which base would wait for
	o.SetManagedFields(nil)
	old := o.DeepCopyObject().(client.Object)
	if err := base.Get(ctx, client.ObjectKeyFromObject(o), old); err != nil {
		o.SetResourceVersion("")
		return base.Create(ctx, o)
	}
	o.SetResourceVersion(old.GetResourceVersion())
	status := o.DeepCopyObject().(client.Object)
	if err := base.Update(ctx, o); err != nil {
		return err
	}
	status.SetResourceVersion(o.GetResourceVersion())
	_ = base.Status().Update(ctx, status) // fails for kinds without one
	return nil
}

// asksIndex reports whether a list selects by a field that the API doesn't have.
func asksIndex(resource *apiserver.Resource, opts *client.ListOptions) bool {
	if opts.FieldSelector == nil || opts.Continue != "" {
		return false
	}
	for _, r := range opts.FieldSelector.Requirements() {
		if !resource.HasField(r.Field) {
			return true
		}
	}
	return false
}
