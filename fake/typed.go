package fake

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// The calls for objects of the type T, which the methods with types make.

func get[T any, P object.Pointer[T]](ctx context.Context, c *Cluster, namespace, name string) (P, error) {
	return one[T, P](c.api().Get(ctx, object.KindFor[T, P](), "", namespace, name))
}

func create[T any, P object.Pointer[T]](ctx context.Context, c *Cluster, o P, opts metav1.CreateOptions) (P, error) {
	return one[T, P](c.api().Create(ctx, object.KindFor[T, P](), o, opts))
}

func update[T any, P object.Pointer[T]](ctx context.Context, c *Cluster, subresource string, o P, opts metav1.UpdateOptions) (P, error) {
	return one[T, P](c.api().Update(ctx, object.KindFor[T, P](), subresource, o, opts))
}

func patch[T any, P object.Pointer[T]](ctx context.Context, c *Cluster, subresource, namespace, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (P, error) {
	o, _, err := c.api().Patch(ctx, object.KindFor[T, P](), subresource, namespace, name, pt, data, opts)
	return one[T, P](o, err)
}

func remove[T any, P object.Pointer[T]](ctx context.Context, c *Cluster, namespace, name string, opts metav1.DeleteOptions) error {
	_, err := c.api().Delete(ctx, object.KindFor[T, P](), namespace, name, opts)
	return err
}

// one returns a copy of o for the caller.
func one[T any, P object.Pointer[T]](o object.Object, err error) (P, error) {
	if err != nil {
		return nil, err
	}
	return object.CopyOf(o).(P), nil
}

// all returns copies of what was found for the caller.
func all[T any, P object.Pointer[T]](found object.Page, err error) ([]P, error) {
	if err != nil {
		return nil, err
	}
	list := make([]P, 0, len(found.Items))
	for _, o := range found.Items {
		list = append(list, object.CopyOf(o).(P))
	}
	return list, nil
}
