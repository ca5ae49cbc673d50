package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// An Object is a pointer to one of the seven types that a [Cluster] holds.
type Object = object.Object

// A Resource reads and writes the objects of one kind without knowing their
// type: what servers and fakes of other clients are built on. Its calls have
// the rules, errors, faults and [Action]s of the typed methods of [Cluster], and
// its results are copies. It is safe for concurrent use.
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
	return copied(r.cluster.api().Get(ctx, r.kind, "", namespace, name))
}

// GetSubresource returns the object called name for a get of one of its subresources,
// like "status".
func (r *Resource) GetSubresource(ctx context.Context, namespace, name, subresource string) (Object, error) {
	if !object.Has("get", r.kind.Resource+"/"+subresource) {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: r.kind.Resource + "/" + subresource}, name)
	}
	return copied(r.cluster.api().Get(ctx, r.kind, subresource, namespace, name))
}

// List returns what opts selects in namespace, or in all if it is empty.
func (r *Resource) List(ctx context.Context, namespace string, opts metav1.ListOptions) ([]Object, metav1.ListMeta, error) {
	found, err := r.cluster.api().List(ctx, r.kind, namespace, opts)
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
	return copied(r.cluster.api().Create(ctx, r.kind, o, opts))
}

// Update replaces the stored object with o, or only the part that subresource
// names.
func (r *Resource) Update(ctx context.Context, subresource string, o Object, opts metav1.UpdateOptions) (Object, error) {
	return copied(r.cluster.api().Update(ctx, r.kind, subresource, o, opts))
}

// Patch patches the object called name, or one subresource of it.
func (r *Resource) Patch(ctx context.Context, namespace, name, subresource string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (Object, error) {
	o, _, err := r.cluster.api().Patch(ctx, r.kind, subresource, namespace, name, pt, data, opts)
	return copied(o, err)
}

// Apply applies a configuration, in YAML or JSON, as server-side apply does: to the object
// called name, which is created if it isn't there, or to one subresource of it. It needs
// [Cluster.ManageFields], and opts.FieldManager. Fields that another manager owns are a
// conflict that names them, unless opts.Force is set.
func (r *Resource) Apply(ctx context.Context, namespace, name, subresource string, configuration []byte, opts metav1.PatchOptions) (applied Object, created bool, err error) {
	applied, created, err = r.cluster.api().Patch(ctx, r.kind, subresource, namespace, name, types.ApplyYAMLPatchType, configuration, opts)
	applied, err = copied(applied, err)
	return applied, created, err
}

// Delete deletes the object called name and returns its last state, or that in
// which it waits for its end.
func (r *Resource) Delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) (Object, error) {
	return copied(r.cluster.api().Delete(ctx, r.kind, namespace, name, opts))
}

// DeleteCollection deletes what listOpts selects in namespace, and returns it as it was.
// It stops at the first error. It is one call of the API; what it lists and deletes has
// the Actor "kube-apiserver".
func (r *Resource) DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) ([]Object, metav1.ListMeta, error) {
	found, err := r.cluster.api().DeleteCollection(ctx, r.kind, namespace, opts, listOpts)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	return copies(found.Items), found.Meta, nil
}

// Stored returns the stored object called name, or nil without one. It is not a
// call of the API: it meets no faults and is not recorded.
func (r *Resource) Stored(namespace, name string) Object {
	o, ok := r.cluster.api().Stored(r.kind, namespace, name)
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

// A FieldManager knows which fields of an object belong to whom. It needs the
// schema of the objects, which client-go has and this module doesn't: the package
// fake/apiserver/fieldmanager has one. It is called with objects that belong to it, under
// the Cluster's lock.
type FieldManager interface {
	// Update returns next with the managedFields that result if manager has made it
	// of live by a create, an update or a patch. For a create, live is empty.
	Update(live, next Object, subresource, manager string) (Object, error)

	// Apply returns what becomes of live, which is empty if there is no object, if
	// manager applies configuration to it. A configuration that doesn't fit, and
	// conflicts with other managers unless force is set, are status errors.
	Apply(live Object, configuration *unstructured.Unstructured, subresource, manager string, force bool) (Object, error)
}

// ManageFields makes the Cluster keep metadata.managedFields in every write, and accept
// patches of the type types.ApplyYAMLPatchType, server-side apply. Without a manager
// those are answered with 415. Objects that are there already belong to nobody.
func (c *Cluster) ManageFields(manager FieldManager) { c.api().ManageFields(manager) }
