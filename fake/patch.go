package fake

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// patch applies data to the stored object, and stores the result under the
// rules of an update.
func (c *Cluster) patch(ctx context.Context, k *object.Kind, subresource, namespace, name string, pt types.PatchType, data []byte, dryRun []string) (object.Object, error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, err
	}
	if err := apirules.CheckDryRun(dryRun); err != nil {
		return nil, err
	}
	data = slices.Clone(data)
	change, err := patch.Parse(pt, data)
	if err != nil {
		return nil, err
	}
	var stored object.Object
	action := &Action{Op: fault.Op{
		Verb: "patch", Resource: k.Resource, Subresource: subresource,
		Namespace: namespace, Name: name, PatchType: pt, Patch: data,
	}}
	err = c.call(ctx, action, func() error {
		old, exists := c.state.Get(k, namespace, name)
		if !exists {
			return apierrors.NewNotFound(k.GroupResource(), name)
		}
		patched, err := apirules.PatchObject(k, old, change)
		if err != nil {
			return err
		}
		stored, err = c.replace(ctx, k, subresource, patched, old, len(dryRun) > 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}
