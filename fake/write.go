package fake

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/warning"
)

// create stores a copy of sent, and returns the stored object, which the caller
// must copy.
func (c *Cluster) create(ctx context.Context, k *object.Kind, sent object.Object, opts *writeOptions) (object.Object, error) {
	action := &Action{Op: fault.Op{Verb: "create", Resource: k.Resource}}
	o, unfit := accept(action, k, sent)
	var created object.Object
	err := c.call(ctx, action, func() (err error) {
		if err := cmp.Or(unfit, opts.check()); err != nil {
			return err
		}
		if k.Namespaced && o.GetNamespace() == "" {
			return apierrors.NewBadRequest("an empty namespace may not be set during creation")
		}
		created, err = c.insert(ctx, k, o, action, opts, c.manage)
		return err
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// accept returns a copy of what a client sent, and tells action what it is.
func accept(action *Action, k *object.Kind, sent object.Object) (object.Object, error) {
	o, err := apirules.Accept(k, sent)
	if err != nil {
		return nil, err
	}
	action.Namespace, action.Name, action.Object = o.GetNamespace(), o.GetName(), object.CopyOf(o)
	return object.DropEmpty(o), nil
}

// manager sets the managedFields of next, which follows live, nil for a create.
type manager func(k *object.Kind, live, next object.Object, op fault.Op, opts *writeOptions) (object.Object, error)

// insert validates o and stores it, in a call.
func (c *Cluster) insert(ctx context.Context, k *object.Kind, o object.Object, action *Action, opts *writeOptions, manage manager) (object.Object, error) {
	if k.Namespaced {
		if err := apirules.CheckNamespace(k, o, c.namespaceOf(o)); err != nil {
			return nil, err
		}
	}
	if err := c.prepareNew(k, o); err != nil {
		return nil, err
	}
	warn(ctx, o, nil)
	if o.GetGenerateName() != "" {
		action.Name = o.GetName()
	}
	if old, exists := c.state.Get(k, o.GetNamespace(), o.GetName()); exists {
		err := apierrors.NewAlreadyExists(k.GroupResource(), o.GetName())
		if old.GetDeletionTimestamp() != nil {
			err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
		}
		return nil, err
	}
	o, err := manage(k, nil, o, action.Op, opts)
	if err != nil {
		return nil, err
	}
	if !opts.isDryRun() {
		c.commit(k, o, nil)
	}
	return o, nil
}

// namespaceOf returns the Namespace of o, nil if there is none.
func (c *Cluster) namespaceOf(o object.Object) *corev1.Namespace {
	stored, _ := c.state.Get(object.Namespaces, "", o.GetNamespace())
	ns, _ := stored.(*corev1.Namespace)
	return ns
}

// prepareNew fills in what the server owns and validates the result.
func (c *Cluster) prepareNew(k *object.Kind, o object.Object) error {
	if err := apirules.PrepareMeta(o, c.now()); err != nil {
		return err
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(c.nextName(k, o.GetNamespace(), o.GetGenerateName()))
	}
	apirules.PrepareCreate(o)
	if err := apirules.ValidateCreate(k, o); err != nil {
		return err
	}
	o.SetUID(c.uids.Next(c.UIDSeed))
	return nil
}

// update replaces the stored object by a copy of sent, or only the part that
// subresource names.
func (c *Cluster) update(ctx context.Context, k *object.Kind, subresource string, sent object.Object, opts *writeOptions) (object.Object, error) {
	action := &Action{Op: fault.Op{Verb: "update", Resource: k.Resource, Subresource: subresource}}
	o, unfit := accept(action, k, sent)
	if unfit == nil {
		if err := apirules.CheckPath(k, o.GetNamespace(), o.GetName()); err != nil {
			return nil, err
		}
	}
	var stored object.Object
	err := c.call(ctx, action, func() (err error) {
		if err := cmp.Or(unfit, opts.check()); err != nil {
			return err
		}
		old, exists := c.state.Get(k, o.GetNamespace(), o.GetName())
		if !exists {
			return apierrors.NewNotFound(k.GroupResource(), o.GetName())
		}
		stored, err = c.replace(ctx, k, o, old, action.Op, opts, c.manage)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// warn tells the client of the request of ctx what the API server warns of.
func warn(ctx context.Context, o, old object.Object) {
	for _, text := range apirules.Warnings(o, old) {
		warning.Add(ctx, text)
	}
}

// replace validates o as the successor of old and stores it. An object that is
// being deleted goes away with its last finalizer.
func (c *Cluster) replace(ctx context.Context, k *object.Kind, o, old object.Object, op fault.Op, opts *writeOptions, manage manager) (object.Object, error) {
	o, err := apirules.Successor(k, op.Subresource, o, old)
	if err != nil {
		return nil, err
	}
	warn(ctx, o, old)
	if o, err = manage(k, old, o, op, opts); err != nil {
		return nil, err
	}
	if opts.isDryRun() {
		return o, nil
	}
	if apirules.Gone(o) {
		o.SetResourceVersion(c.expunge(k, old).GetResourceVersion())
		return o, nil // watches see the old one go
	}
	// An update that changes nothing is not written: no new resourceVersion
	// and no event.
	if equality.Semantic.DeepEqual(o, old) {
		return old, nil
	}
	c.commit(k, o, old)
	return o, nil
}
