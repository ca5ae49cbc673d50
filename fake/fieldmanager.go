package fake

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/admit"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

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
func (c *Cluster) ManageFields(manager FieldManager) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fields = manager
}

// writeOptions are what the options of creates, updates and patches have in common. None
// at all are the zero ones.
type writeOptions struct {
	dryRun  []string
	manager string
	force   *bool
	// fields is the fieldValidation of a patch, which the Cluster reads. Other objects are
	// typed already.
	fields string
}

func (o *writeOptions) isDryRun() bool { return o != nil && len(o.dryRun) > 0 }

func (o *writeOptions) check() error {
	if o == nil {
		return nil
	}
	return apirules.CheckDryRun(o.dryRun)
}

// managerOf returns who makes a write: the API server takes the name of the client's
// program, if the options don't say it.
func (o *writeOptions) managerOf(op fault.Op) string {
	switch {
	case o != nil && o.manager != "":
		return o.manager
	case op.Actor != "":
		return op.Actor
	}
	return "unknown"
}

// manage sets the managedFields of next, which follows live, nil for a create.
func (c *Cluster) manage(k *object.Kind, live, next object.Object, op fault.Op, opts *writeOptions) (object.Object, error) {
	if c.fields == nil {
		return next, nil
	}
	managed, err := c.fields.Update(liveOrEmpty(k, live), withKind(k, next), op.Subresource, opts.managerOf(op))
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	c.stamp(managed, live)
	return managed, nil
}

// stamp sets the times of the managedFields of next. The manager reads a clock of its own,
// and has sorted them by it.
func (c *Cluster) stamp(next, live object.Object) {
	apirules.ClearTypeMeta(next)
	patch.Stamp(next, live, c.now())
}

func liveOrEmpty(k *object.Kind, live object.Object) object.Object {
	if live == nil {
		return withKind(k, k.New())
	}
	return withKind(k, object.CopyOf(live))
}

func withKind(k *object.Kind, o object.Object) object.Object {
	o.GetObjectKind().SetGroupVersionKind(k.GroupVersion().WithKind(k.Name))
	return o
}

// apply answers a server-side apply of configuration, which creates what isn't there. It
// runs in a call. The error is errAdmitted if the object changed while it was admitted.
func (c *Cluster) apply(ctx context.Context, k *object.Kind, old object.Object, configuration *unstructured.Unstructured, action *Action, opts *writeOptions) (applied object.Object, err error) {
	if old == nil && action.Subresource != "" {
		return nil, apierrors.NewNotFound(k.GroupResource(), action.Name)
	}
	applied, err = c.fields.Apply(liveOrEmpty(k, old), configuration.DeepCopy(), action.Subresource, opts.manager, opts.force != nil && *opts.force)
	if err != nil {
		return nil, err
	}
	c.stamp(applied, old)
	if err := patch.CheckApplied(k, applied, old != nil, action.Namespace, action.Name); err != nil {
		return nil, err
	}
	object.DropEmpty(applied)
	if err := c.admitApplied(ctx, k, applied, old, action); err != nil {
		return nil, err
	}
	return applied, nil
}

// errAdmitted says that what was admitted isn't what would follow now.
var errAdmitted = errors.New("fake: the object changed while its successor was admitted")

// admitApplied asks the server's admission, which may call the Cluster, without the lock.
func (c *Cluster) admitApplied(ctx context.Context, k *object.Kind, applied, old object.Object, action *Action) error {
	admission := admit.From(ctx)
	if admission == nil {
		return nil
	}
	c.mu.Unlock()
	err := admission(applied, old)
	c.mu.Lock()
	if err != nil {
		return err
	}
	if now, _ := c.state.Get(k, action.Namespace, action.Name); now != old {
		return errAdmitted
	}
	return ctx.Err()
}
