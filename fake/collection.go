package fake

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// DeleteCollection deletes what listOpts selects in namespace, and returns it as it was.
// It stops at the first error. It is one call of the API; what it lists and deletes has
// the Actor "kube-apiserver".
func (r *Resource) DeleteCollection(ctx context.Context, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) ([]Object, metav1.ListMeta, error) {
	found, err := r.cluster.deleteCollection(ctx, r.kind, namespace, opts, listOpts)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	for i, o := range found.Items {
		found.Items[i] = object.CopyOf(o)
	}
	return found.Items, found.Meta, nil
}

// deleteCollection deletes what listOpts selects; the caller must copy it.
func (c *Cluster) deleteCollection(ctx context.Context, k *object.Kind, namespace string, opts metav1.DeleteOptions, listOpts metav1.ListOptions) (object.Page, error) {
	if k == object.Namespaces {
		return object.Page{}, apierrors.NewMethodNotSupported(k.GroupResource(), "deletecollection")
	}
	var found object.Page
	op := fault.Op{Verb: "deletecollection", Resource: k.Resource, Namespace: namespace}
	err := c.Do(ctx, op, func(ctx context.Context) (err error) {
		if found, err = c.list(ctx, k, namespace, listOpts); err != nil {
			return err
		}
		for _, o := range found.Items {
			_, err := c.delete(ctx, k, o.GetNamespace(), o.GetName(), opts)
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
