package fake

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// patch applies data to the stored object, and stores the result under the rules of an
// update.
func (c *Cluster) patch(ctx context.Context, k *object.Kind, subresource, namespace, name string, pt types.PatchType, data []byte, opts *writeOptions) (object.Object, error) {
	stored, _, err := c.patchOrCreate(ctx, k, subresource, namespace, name, pt, data, opts)
	return stored, err
}

// patchOrCreate is patch, and tells whether server-side apply created the object.
func (c *Cluster) patchOrCreate(ctx context.Context, k *object.Kind, subresource, namespace, name string, pt types.PatchType, data []byte, opts *writeOptions) (stored object.Object, created bool, err error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, false, err
	}
	action := &Action{Op: fault.Op{
		Verb: "patch", Resource: k.Resource, Subresource: subresource,
		Namespace: namespace, Name: name, PatchType: pt, Patch: slices.Clone(data),
	}}
	err = c.call(ctx, action, func() error {
		if err := opts.check(); err != nil {
			return err
		}
		change, err := c.parse(k, pt, slices.Clone(data), opts)
		if err != nil {
			return err
		}
		for {
			old, exists := c.state.Get(k, namespace, name)
			if !exists && change.configuration == nil {
				return apierrors.NewNotFound(k.GroupResource(), name)
			}
			if stored, err = change.store(ctx, old, action); !errors.Is(err, errAdmitted) {
				created = err == nil && !exists
				return err
			}
		}
	})
	if err != nil {
		return nil, false, err
	}
	return stored, created, nil
}

// change is a patch that was read: configuration for a server-side apply, patch for the
// others.
type change struct {
	cluster       *Cluster
	kind          *object.Kind
	patch         *patch.Patch
	configuration *unstructured.Unstructured
	repeated      error // keys that the configuration has twice
	opts          *writeOptions
}

// parse reads a patch, in a call.
func (c *Cluster) parse(k *object.Kind, pt types.PatchType, data []byte, opts *writeOptions) (change, error) {
	out := change{cluster: c, kind: k, opts: opts}
	var err error
	if pt == types.ApplyYAMLPatchType && c.fields != nil {
		manager := ""
		if opts != nil {
			manager = opts.manager
		}
		out.configuration, err = patch.ParseApply(k, data, manager)
		out.repeated = patch.Repeated(data)
	} else {
		out.patch, err = patch.Parse(pt, data)
	}
	return out, err
}

// store stores what the patch makes of old, nil if there is none, in a call.
func (p change) store(ctx context.Context, old object.Object, action *Action) (object.Object, error) {
	c, manage := p.cluster, p.cluster.manage
	var next object.Object
	var err error
	if p.configuration != nil {
		if next, err = c.apply(ctx, p.kind, old, p.configuration, action, p.opts); err != nil {
			return nil, err
		}
		if err := p.checkRepeated(ctx); err != nil {
			return nil, err
		}
		// Who owns what is known, and kept by no update of a subresource.
		owned := next.GetManagedFields()
		manage = func(_ *object.Kind, _, next object.Object, _ fault.Op, _ *writeOptions) (object.Object, error) {
			next.SetManagedFields(owned)
			return next, nil
		}
		if old == nil {
			return c.insert(ctx, p.kind, next, action, p.opts, manage)
		}
	} else if next, err = apirules.PatchObject(p.kind, old, p.patch); err != nil {
		return nil, err
	} else if err := p.checkFields(ctx, old); err != nil {
		return nil, err
	}
	return c.replace(ctx, p.kind, next, old, action.Op, p.opts, manage)
}

// checkRepeated does with keys that a configuration has twice what fieldValidation asks
// for. Unknown fields are an error of the manager, whatever it says.
func (p change) checkRepeated(ctx context.Context) error {
	if p.opts == nil || p.repeated == nil {
		return nil
	}
	if p.opts.fields == metav1.FieldValidationStrict {
		return apierrors.NewBadRequest("error strict decoding patch: " + p.repeated.Error())
	}
	return apirules.ReportFields(ctx, []error{p.repeated}, p.opts.fields)
}

// checkFields does what fieldValidation asks for, which is nothing by default.
func (p change) checkFields(ctx context.Context, old object.Object) error {
	if p.opts == nil || p.opts.fields == "" || p.opts.fields == metav1.FieldValidationIgnore {
		return nil
	}
	err := apirules.ReportFields(ctx, p.patch.StrictErrors(old, p.kind.New()), p.opts.fields)
	if err == nil {
		return nil
	}
	// The API server shows the patch as the value.
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "(not shown)", err.Error())})
}
