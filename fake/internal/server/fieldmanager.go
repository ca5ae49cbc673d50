package server

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubesa/serviceaccount/fake/internal/admit"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// A FieldManager knows which fields of an object belong to whom. It is called under the
// lock, with objects that belong to it; live is empty if there is no object.
type FieldManager interface {
	Update(live, next object.Object, subresource, manager string) (object.Object, error)
	Apply(live object.Object, configuration *unstructured.Unstructured, subresource, manager string, force bool) (object.Object, error)
}

// ManageFields makes the Server keep metadata.managedFields in every write, and accept
// server-side apply.
func (s *Server) ManageFields(manager FieldManager) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields = manager
}

// manager returns who makes a write: the API server takes the name of the client's
// program, if the options don't say it.
func (c *call) manager() string {
	switch {
	case c.opts.FieldManager != "":
		return c.opts.FieldManager
	case c.Actor != "":
		return c.Actor
	}
	return "unknown"
}

// keepFinalizers remembers those of the Namespace that a client sends, or patches.
func (c *call) keepFinalizers(o object.Object) {
	if ns, ok := o.(*corev1.Namespace); ok {
		c.finalizers = slices.Clone(ns.Spec.Finalizers)
	}
}

// manage sets the managedFields of next, which follows live, nil for a create.
func (s *Server) manage(c *call, live, next object.Object) (object.Object, error) {
	switch {
	case c.applied: // kept by no update of a subresource
		next.SetManagedFields(c.owned)
		return next, nil
	case s.fields == nil:
		return next, nil
	}
	// The finalizers of a Namespace are the server's; who sends some owns them all the same.
	ns, isNamespace := next.(*corev1.Namespace)
	isNamespace = isNamespace && c.Subresource == ""
	var stored []corev1.FinalizerName
	if isNamespace {
		stored, ns.Spec.Finalizers = ns.Spec.Finalizers, c.finalizers
	}
	managed, err := s.fields.Update(liveOrEmpty(c.kind, live), withKind(c.kind, next), c.Subresource, c.manager())
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if isNamespace {
		managed.(*corev1.Namespace).Spec.Finalizers = stored
	}
	s.stamp(managed, live)
	return managed, nil
}

// stamp sets the times of the managedFields of next. The manager reads a clock of its own,
// and has sorted them by it.
func (s *Server) stamp(next, live object.Object) {
	apirules.ClearTypeMeta(next)
	patch.Stamp(next, live, s.now())
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

// apply answers a server-side apply of configuration, which creates what isn't there, in
// a call. The error is errAdmitted if the object changed while it was admitted.
func (s *Server) apply(ctx context.Context, c *call, old object.Object, configuration *unstructured.Unstructured) (applied object.Object, err error) {
	if old == nil && c.Subresource != "" {
		return nil, apierrors.NewNotFound(c.kind.GroupResource(), c.Name)
	}
	force := c.opts.Force != nil && *c.opts.Force
	applied, err = s.fields.Apply(liveOrEmpty(c.kind, old), configuration.DeepCopy(), c.Subresource, c.opts.FieldManager, force)
	if err != nil {
		return nil, err
	}
	s.stamp(applied, old)
	if err := patch.CheckApplied(c.kind, applied, old != nil, c.Namespace, c.Name); err != nil {
		return nil, err
	}
	object.DropEmpty(applied)
	if err := s.admitApplied(ctx, c, applied, old); err != nil {
		return nil, err
	}
	return applied, nil
}

// errAdmitted says that what was admitted isn't what would follow now.
var errAdmitted = errors.New("fake: the object changed while its successor was admitted")

// admitApplied asks the server's admission, which may call the Server, without the lock.
func (s *Server) admitApplied(ctx context.Context, c *call, applied, old object.Object) error {
	admission := admit.From(ctx)
	if admission == nil {
		return nil
	}
	s.mu.Unlock()
	err := admission(applied, old)
	s.mu.Lock()
	if err != nil {
		return err
	}
	if now, _ := s.state.Get(c.kind, c.Namespace, c.Name); now != old {
		return errAdmitted
	}
	return ctx.Err()
}
