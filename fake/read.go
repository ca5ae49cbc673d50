package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// get returns the stored object, which the caller must copy.
func (c *Cluster) get(ctx context.Context, k *kind, namespace, name string) (object, error) {
	if err := checkPath(k, namespace, name); err != nil {
		return nil, err
	}
	var found object
	action := &Action{Op: Op{Verb: "get", Resource: k.resource, Namespace: namespace, Name: name}}
	err := c.call(ctx, action, func() error {
		o, ok := c.seenBy(action).get(k, namespace, name)
		if !ok {
			return apierrors.NewNotFound(k.groupResource(), name)
		}
		found = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// page is one answer of a list; the caller must copy the objects.
type page struct {
	items []object
	meta  metav1.ListMeta
}

// list returns what opts selects.
func (c *Cluster) list(ctx context.Context, k *kind, namespace string, opts metav1.ListOptions) (page, error) {
	query, err := parseList(k, namespace, opts)
	if err != nil {
		return page{}, err
	}
	var found page
	action := &Action{Op: Op{Verb: "list", Resource: k.resource, Namespace: namespace}}
	err = c.call(ctx, action, func() error {
		snap := c.seenBy(action)
		if query.revision != 0 {
			if err := c.checkRevision(query); err != nil {
				return err
			}
			if !query.notOlder {
				snap = c.at(query.revision)
			}
		}
		found = query.run(snap)
		return nil
	})
	if err != nil {
		return page{}, err
	}
	return found, nil
}

// tokenSecrets returns the token Secrets of an account; the caller must copy
// them.
func (c *Cluster) tokenSecrets(ctx context.Context, namespace, account string) ([]object, error) {
	var found []object
	action := &Action{Op: Op{Verb: "list", Resource: secrets.resource, Namespace: namespace}}
	err := c.call(ctx, action, func() error {
		found = c.seenBy(action).tokenSecrets(namespace, account)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// checkPath refuses what a client can't even send.
func checkPath(k *kind, namespace, name string) error {
	if name == "" {
		return apierrors.NewBadRequest("resource name may not be empty")
	}
	if k.namespaced && namespace == "" {
		return apierrors.NewBadRequest("an empty namespace may not be set when a resource name is provided")
	}
	return nil
}
