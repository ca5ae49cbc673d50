package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// get returns the stored object, which the caller must copy.
func (c *Cluster) get(ctx context.Context, k *object.Kind, namespace, name string) (object.Object, error) {
	return c.getPart(ctx, k, "", namespace, name)
}

// getPart returns the stored object for a get of a subresource, which is all of it.
func (c *Cluster) getPart(ctx context.Context, k *object.Kind, subresource, namespace, name string) (object.Object, error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, err
	}
	var found object.Object
	action := &Action{Op: fault.Op{Verb: "get", Resource: k.Resource, Subresource: subresource, Namespace: namespace, Name: name}}
	err := c.call(ctx, action, func() error {
		o, ok := c.seenBy(action).Get(k, namespace, name)
		if !ok {
			return apierrors.NewNotFound(k.GroupResource(), name)
		}
		found = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// List returns what opts selects.
func (c *Cluster) list(ctx context.Context, k *object.Kind, namespace string, opts metav1.ListOptions) (object.Page, error) {
	var found object.Page
	action := &Action{Op: fault.Op{Verb: "list", Resource: k.Resource, Namespace: namespace}}
	err := c.call(ctx, action, func() error {
		query, err := store.ParseList(k, namespace, opts)
		if err != nil {
			return err
		}
		snap := c.seenBy(action)
		if query.Revision != 0 {
			if err := c.history.CheckRevision(query); err != nil {
				return err
			}
			if !query.NotOlder {
				snap = store.SnapshotAt(&c.state, &c.history, query.Revision)
			}
		}
		found = query.Run(snap)
		return nil
	})
	if err != nil {
		return object.Page{}, err
	}
	return found, nil
}

// TokenSecrets returns the token Secrets of an account; the caller must copy
// them.
func (c *Cluster) tokenSecrets(ctx context.Context, namespace, account string) ([]object.Object, error) {
	var found []object.Object
	action := &Action{Op: fault.Op{Verb: "list", Resource: object.Secrets.Resource, Namespace: namespace}}
	err := c.call(ctx, action, func() error {
		found = c.seenBy(action).TokenSecrets(namespace, account)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// seenBy returns the state that a read sees: the current one, or an older one
// if a fault asked for it.
func (c *Cluster) seenBy(action *Action) store.Snapshot {
	last := c.history.Last()
	return store.SnapshotAt(&c.state, &c.history, last-min(last, uint64(action.lag)))
}
