package fake

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// patch applies data to the stored object, and stores the result under the
// rules of an update.
func (c *Cluster) patch(ctx context.Context, k *kind, subresource, namespace, name string, pt types.PatchType, data []byte, dryRun []string) (object, error) {
	if err := checkPath(k, namespace, name); err != nil {
		return nil, err
	}
	if err := checkDryRun(dryRun); err != nil {
		return nil, err
	}
	data = slices.Clone(data)
	change, err := patch.Parse(pt, data)
	if err != nil {
		return nil, err
	}
	var stored object
	action := &Action{Op: Op{
		Verb: "patch", Resource: k.resource, Subresource: subresource,
		Namespace: namespace, Name: name, PatchType: pt, Patch: data,
	}}
	err = c.call(ctx, action, func() error {
		old, exists := c.state.get(k, namespace, name)
		if !exists {
			return apierrors.NewNotFound(k.groupResource(), name)
		}
		patched, err := patchObject(k, old, change)
		if err != nil {
			return err
		}
		stored, err = c.replace(k, subresource, patched, old, len(dryRun) > 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// patchObject returns old with change applied.
func patchObject(k *kind, old object, change *patch.Patch) (object, error) {
	patched := k.new()
	if err := change.Apply(old, patched); err != nil {
		return nil, err
	}
	if patched.GetNamespace() != old.GetNamespace() {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if patched.GetName() != old.GetName() {
		return nil, apierrors.NewBadRequest("the name of the object (" + patched.GetName() + ") does not match the name on the URL (" + old.GetName() + ")")
	}
	if patched.GetUID() == "" { // removed by the patch: kept
		patched.SetUID(old.GetUID())
	}
	clearTypeMeta(patched)
	return dropEmpty(patched), nil
}
