package server

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// namespaceController is the actor of what happens to the content of a
// Namespace that is being deleted.
const namespaceController = "namespace-controller"

// FinalizeNamespace deletes what a Namespace holds that is being deleted, and when
// nothing is left, the Namespace.
func (s *Server) FinalizeNamespace(ctx context.Context, name string) error {
	if err := apirules.CheckPath(object.Namespaces, "", name); err != nil {
		return err
	}
	ctx = WithActor(ctx, namespaceController)
	ns, err := s.terminating(name)
	if err != nil {
		return err
	}
	now := int64(0)
	for _, k := range object.Kinds {
		if !k.Namespaced {
			continue
		}
		for _, o := range s.content(k, name) {
			uid := o.GetUID()
			_, err := s.Delete(ctx, k, name, o.GetName(), metav1.DeleteOptions{
				GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
			})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return err
			}
		}
	}
	c := callOf(object.Namespaces, fault.Op{Verb: "update", Subresource: "finalize", Name: name})
	return s.run(ctx, c, func() error {
		old, ok := s.state.Get(object.Namespaces, "", name)
		if !ok || old.GetUID() != ns.GetUID() || s.state.Count(name) > 0 {
			return nil
		}
		o := object.CopyOf(old).(*corev1.Namespace)
		o.Spec.Finalizers = nil
		if apirules.Gone(o) {
			s.expunge(object.Namespaces, old)
		} else if len(old.(*corev1.Namespace).Spec.Finalizers) > 0 {
			s.commit(object.Namespaces, o, old)
		}
		return nil
	})
}

func (s *Server) terminating(name string) (object.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.state.Get(object.Namespaces, "", name)
	if !ok {
		return nil, apierrors.NewNotFound(object.Namespaces.GroupResource(), name)
	}
	if o.GetDeletionTimestamp() == nil {
		return nil, apirules.Conflict(object.Namespaces, name, "the namespace is not being deleted")
	}
	return o, nil
}

// content returns the objects of kind k in a Namespace that a deletion has not
// reached yet.
func (s *Server) content(k *object.Kind, namespace string) []object.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.state.List(k, namespace), func(o object.Object) bool {
		return o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) > 0
	})
}
