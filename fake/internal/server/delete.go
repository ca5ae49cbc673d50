package server

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// Delete removes an object, or marks it if something keeps it: finalizers, a grace
// period, the content of a Namespace. It returns the last state.
func (s *Server) Delete(ctx context.Context, k *object.Kind, namespace, name string, opts metav1.DeleteOptions) (object.Object, error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, err
	}
	c := callOf(k, fault.Op{Verb: "delete", Namespace: namespace, Name: name, Preconditions: opts.Preconditions.DeepCopy()})
	return answer(ctx, s, c, func() (object.Object, error) {
		if err := apirules.CheckDryRun(opts.DryRun); err != nil {
			return nil, err
		}
		old, exists := s.state.Get(k, namespace, name)
		if !exists {
			return nil, apierrors.NewNotFound(k.GroupResource(), name)
		}
		if err := apirules.CheckPreconditions(k, old, opts.Preconditions); err != nil {
			return nil, err
		}
		if k == object.Namespaces && apirules.IsImmortal(name) {
			return nil, apierrors.NewForbidden(k.GroupResource(), name, fmt.Errorf("this namespace may not be deleted"))
		}
		return s.markOrRemove(k, old, opts), nil
	})
}

// markOrRemove takes the next step of a deletion, and returns what the API
// server answers: a Pod that goes is marked, other objects are as they were. An
// Object that is marked already stays as it is, but a Pod may get less time.
func (s *Server) markOrRemove(k *object.Kind, old object.Object, opts metav1.DeleteOptions) object.Object {
	o := apirules.Marked(old, opts.GracePeriodSeconds, s.now().Time)
	last, dryRun := old, len(opts.DryRun) > 0
	switch {
	case apirules.Gone(o):
		if !dryRun {
			last = s.expunge(k, old) // watches see it without the mark
		}
		if k == object.Pods {
			o.SetResourceVersion(last.GetResourceVersion())
			last = o
		}
	case old.GetDeletionTimestamp() != nil && apirules.EqualGrace(old, o):
	default:
		if !dryRun {
			s.commit(k, o, old)
		}
		last = o
	}
	return last
}

// DeleteCollection deletes what listOpts selects in namespace, and returns it as it was.
// It stops at the first error. It is one call; what it lists and deletes has another
// actor.
func (s *Server) DeleteCollection(ctx context.Context, k *object.Kind, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) (found object.Page, err error) {
	if k == object.Namespaces {
		return object.Page{}, apierrors.NewMethodNotSupported(k.GroupResource(), "deletecollection")
	}
	op := fault.Op{Verb: "deletecollection", Resource: k.Resource, Namespace: namespace}
	err = s.Do(ctx, op, func(ctx context.Context) (err error) {
		if found, err = s.List(ctx, k, namespace, listOpts); err != nil {
			return err
		}
		for _, o := range found.Items {
			_, err := s.Delete(ctx, k, o.GetNamespace(), o.GetName(), opts)
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return object.Page{}, err
	}
	return found, nil
}
