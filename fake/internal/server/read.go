package server

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// Get returns the stored object, for one of its subresources, too.
func (s *Server) Get(ctx context.Context, k *object.Kind, subresource, namespace, name string) (object.Object, error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, err
	}
	c := callOf(k, fault.Op{Verb: "get", Subresource: subresource, Namespace: namespace, Name: name})
	return answer(ctx, s, c, func() (object.Object, error) {
		o, ok := s.seenBy(c).Get(k, namespace, name)
		if !ok {
			return nil, apierrors.NewNotFound(k.GroupResource(), name)
		}
		return o, nil
	})
}

// List returns what opts selects.
func (s *Server) List(ctx context.Context, k *object.Kind, namespace string, opts metav1.ListOptions) (object.Page, error) {
	c := callOf(k, fault.Op{Verb: "list", Namespace: namespace})
	return answer(ctx, s, c, func() (object.Page, error) {
		query, err := store.ParseList(k, namespace, opts)
		if err != nil {
			return object.Page{}, err
		}
		snap := s.seenBy(c)
		if query.Revision != 0 {
			if err := s.history.CheckRevision(query); err != nil {
				return object.Page{}, err
			}
			if !query.NotOlder {
				snap = store.SnapshotAt(&s.state, &s.history, query.Revision)
			}
		}
		return query.Run(snap), nil
	})
}

// TokenSecrets returns the token Secrets of an account.
func (s *Server) TokenSecrets(ctx context.Context, namespace, account string) (object.Page, error) {
	c := callOf(object.Secrets, fault.Op{Verb: "list", Namespace: namespace})
	return answer(ctx, s, c, func() (object.Page, error) {
		return object.Page{Items: s.seenBy(c).TokenSecrets(namespace, account)}, nil
	})
}

// seenBy returns the state that a read sees: the current one, or an older one
// if a fault asked for it.
func (s *Server) seenBy(c *call) store.Snapshot {
	last := s.history.Last()
	return store.SnapshotAt(&s.state, &s.history, last-min(last, uint64(c.lag)))
}
