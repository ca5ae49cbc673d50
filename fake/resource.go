package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// An Object is a pointer to one of the seven types that a [Cluster] holds.
type Object = object.Object

// A Resource reads and writes the objects of one kind without knowing their
// type: what servers and fakes of other clients are built on. Its calls have
// the rules, errors, faults and [Action]s of the typed methods of [Cluster], and
// its results are copies.
type Resource struct {
	cluster *Cluster
	kind    *object.Kind
}

// Resource returns access to the objects of the resource with the given plural
// name, like "secrets", or nil if there is none.
func (c *Cluster) Resource(name string) *Resource {
	if k := object.KindNamed(name); k != nil {
		return &Resource{c, k}
	}
	return nil
}

// Get returns the object called name.
func (r *Resource) Get(ctx context.Context, namespace, name string) (Object, error) {
	return copied(r.cluster.get(ctx, r.kind, namespace, name))
}

// GetSubresource returns the object called name for a get of one of its subresources,
// like "status".
func (r *Resource) GetSubresource(ctx context.Context, namespace, name, subresource string) (Object, error) {
	if !object.Has("get", r.kind.Resource+"/"+subresource) {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: r.kind.Resource + "/" + subresource}, name)
	}
	return copied(r.cluster.getPart(ctx, r.kind, subresource, namespace, name))
}

// List returns what opts selects in namespace, or in all if it is empty.
func (r *Resource) List(ctx context.Context, namespace string, opts metav1.ListOptions) ([]Object, metav1.ListMeta, error) {
	found, err := r.cluster.list(ctx, r.kind, namespace, opts)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	return copies(found.Items), found.Meta, nil
}

func copies(list []Object) []Object {
	items := make([]Object, len(list))
	for i, o := range list {
		items[i] = object.CopyOf(o)
	}
	return items
}

// Watch watches what opts selects in namespace, or in all if it is empty.
func (r *Resource) Watch(ctx context.Context, namespace string, opts metav1.ListOptions) (*Watch, error) {
	return r.cluster.Watch(ctx, r.kind.Resource, namespace, opts)
}

// Create creates o and returns it as stored.
func (r *Resource) Create(ctx context.Context, o Object, opts metav1.CreateOptions) (Object, error) {
	return copied(r.cluster.create(ctx, r.kind, o, &writeOptions{dryRun: opts.DryRun, manager: opts.FieldManager}))
}

// Update replaces the stored object with o, or only the part that subresource
// names.
func (r *Resource) Update(ctx context.Context, subresource string, o Object, opts metav1.UpdateOptions) (Object, error) {
	return copied(r.cluster.update(ctx, r.kind, subresource, o, &writeOptions{dryRun: opts.DryRun, manager: opts.FieldManager}))
}

// Patch patches the object called name, or one subresource of it.
func (r *Resource) Patch(ctx context.Context, namespace, name, subresource string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (Object, error) {
	return copied(r.cluster.patch(ctx, r.kind, subresource, namespace, name, pt, data, patchOptions(opts)))
}

// Apply applies a configuration, in YAML or JSON, as server-side apply does: to the object
// called name, which is created if it isn't there, or to one subresource of it. It needs
// [Cluster.ManageFields], and opts.FieldManager. Fields that another manager owns are a
// conflict that names them, unless opts.Force is set.
func (r *Resource) Apply(ctx context.Context, namespace, name, subresource string, configuration []byte, opts metav1.PatchOptions) (applied Object, created bool, err error) {
	applied, created, err = r.cluster.patchOrCreate(ctx, r.kind, subresource, namespace, name, types.ApplyYAMLPatchType, configuration, patchOptions(opts))
	applied, err = copied(applied, err)
	return applied, created, err
}

func patchOptions(opts metav1.PatchOptions) *writeOptions {
	return &writeOptions{dryRun: opts.DryRun, manager: opts.FieldManager, force: opts.Force, fields: opts.FieldValidation}
}

// Delete deletes the object called name and returns its last state, or that in
// which it waits for its end.
func (r *Resource) Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) (Object, error) {
	return copied(r.cluster.delete(ctx, r.kind, namespace, name, opts))
}

// Stored returns the stored object called name, or nil without one. It is not a
// call of the API: it meets no faults and is not recorded.
func (r *Resource) Stored(namespace, name string) Object {
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	o, ok := r.cluster.state.Get(r.kind, namespace, name)
	if !ok {
		return nil
	}
	return object.CopyOf(o)
}

func copied(o Object, err error) (Object, error) {
	if err != nil {
		return nil, err
	}
	return object.CopyOf(o), nil
}
