package server

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/warning"
)

// Create stores what was sent, and returns the stored object.
func (s *Server) Create(ctx context.Context, k *object.Kind, sent object.Object, opts metav1.CreateOptions) (object.Object, error) {
	c := callOf(k, fault.Op{Verb: "create"})
	c.opts = metav1.PatchOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager}
	o, unfit := c.accept(sent)
	return answer(ctx, s, c, func() (object.Object, error) {
		if err := cmp.Or(unfit, apirules.CheckDryRun(opts.DryRun)); err != nil {
			return nil, err
		}
		if k.Namespaced && o.GetNamespace() == "" {
			return nil, apierrors.NewBadRequest("an empty namespace may not be set during creation")
		}
		return s.insert(ctx, c, o)
	})
}

// accept returns a copy of what a client sent, and remembers what it is.
func (c *call) accept(sent object.Object) (object.Object, error) {
	o, err := apirules.Accept(c.kind, sent)
	if err != nil {
		return nil, err
	}
	c.Namespace, c.Name, c.Object = o.GetNamespace(), o.GetName(), object.CopyOf(o)
	return object.DropEmpty(o), nil
}

func (c *call) isDryRun() bool { return len(c.opts.DryRun) > 0 }

// insert validates o and stores it, in a call.
func (s *Server) insert(ctx context.Context, c *call, o object.Object) (object.Object, error) {
	k := c.kind
	c.keepFinalizers(o)
	if k.Namespaced {
		if err := apirules.CheckNamespace(k, o, s.namespaceOf(o)); err != nil {
			return nil, err
		}
	}
	if err := s.prepareNew(k, o); err != nil {
		return nil, err
	}
	warn(ctx, o, nil)
	if o.GetGenerateName() != "" {
		c.Name = o.GetName()
	}
	if old, exists := s.state.Get(k, o.GetNamespace(), o.GetName()); exists {
		err := apierrors.NewAlreadyExists(k.GroupResource(), o.GetName())
		if old.GetDeletionTimestamp() != nil {
			err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
		}
		return nil, err
	}
	o, err := s.manage(c, nil, o)
	if err != nil {
		return nil, err
	}
	if !c.isDryRun() {
		s.commit(k, o, nil)
	}
	return o, nil
}

// namespaceOf returns the Namespace of o, nil if there is none.
func (s *Server) namespaceOf(o object.Object) *corev1.Namespace {
	stored, _ := s.state.Get(object.Namespaces, "", o.GetNamespace())
	ns, _ := stored.(*corev1.Namespace)
	return ns
}

// prepareNew fills in what the server owns and validates the result.
func (s *Server) prepareNew(k *object.Kind, o object.Object) error {
	if err := apirules.PrepareMeta(o, s.now()); err != nil {
		return err
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(s.nextName(k, o.GetNamespace(), o.GetGenerateName()))
	}
	apirules.PrepareCreate(o)
	if err := apirules.ValidateCreate(k, o); err != nil {
		return err
	}
	o.SetUID(s.uids.Next(s.seed()))
	return nil
}

// Update replaces the stored object by what was sent, or only the part that subresource
// names.
func (s *Server) Update(ctx context.Context, k *object.Kind, subresource string, sent object.Object, opts metav1.UpdateOptions) (object.Object, error) {
	c := callOf(k, fault.Op{Verb: "update", Subresource: subresource})
	c.opts = metav1.PatchOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager}
	o, unfit := c.accept(sent)
	if unfit == nil {
		if err := apirules.CheckPath(k, o.GetNamespace(), o.GetName()); err != nil {
			return nil, err
		}
	}
	return answer(ctx, s, c, func() (object.Object, error) {
		if err := cmp.Or(unfit, apirules.CheckDryRun(opts.DryRun)); err != nil {
			return nil, err
		}
		old, exists := s.state.Get(k, o.GetNamespace(), o.GetName())
		if !exists {
			return nil, apierrors.NewNotFound(k.GroupResource(), o.GetName())
		}
		return s.replace(ctx, c, o, old)
	})
}

// warn tells the client of the request of ctx what the API server warns of.
func warn(ctx context.Context, o, old object.Object) {
	for _, text := range apirules.Warnings(o, old) {
		warning.Add(ctx, text)
	}
}

// replace validates o as the successor of old and stores it, in a call. An object that is
// being deleted goes away with its last finalizer.
func (s *Server) replace(ctx context.Context, c *call, o, old object.Object) (object.Object, error) {
	c.keepFinalizers(o)
	o, err := apirules.Successor(c.kind, c.Subresource, o, old)
	if err != nil {
		return nil, err
	}
	warn(ctx, o, old)
	if o, err = s.manage(c, old, o); err != nil {
		return nil, err
	}
	if c.isDryRun() {
		return o, nil
	}
	if apirules.Gone(o) {
		o.SetResourceVersion(s.expunge(c.kind, old).GetResourceVersion())
		return o, nil // watches see the old one go
	}
	// An update that changes nothing is not written: no new resourceVersion
	// and no event.
	if equality.Semantic.DeepEqual(o, old) {
		return old, nil
	}
	s.commit(c.kind, o, old)
	return o, nil
}
