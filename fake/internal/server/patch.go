package server

import (
	"context"
	"errors"
	"slices"
	"strings"

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

// Patch applies data to the stored object, or one subresource of it, and stores the
// result under the rules of an update. A server-side apply may create the object.
func (s *Server) Patch(ctx context.Context, k *object.Kind, subresource, namespace, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions) (stored object.Object, created bool, err error) {
	if err := apirules.CheckPath(k, namespace, name); err != nil {
		return nil, false, err
	}
	c := callOf(k, fault.Op{
		Verb: "patch", Subresource: subresource, Namespace: namespace, Name: name, PatchType: pt, Patch: slices.Clone(data),
	})
	c.opts = opts
	stored, err = answer(ctx, s, c, func() (object.Object, error) {
		if err := apirules.CheckDryRun(opts.DryRun); err != nil {
			return nil, err
		}
		change, err := s.parse(c, slices.Clone(data))
		if err != nil {
			return nil, err
		}
		for {
			old, exists := s.state.Get(k, namespace, name)
			if !exists && change.configuration == nil {
				return nil, apierrors.NewNotFound(k.GroupResource(), name)
			}
			created = !exists
			if stored, err := change.store(ctx, c, old); !errors.Is(err, errAdmitted) {
				return stored, err
			}
		}
	})
	return stored, created && err == nil, err
}

// change is a patch that was read: configuration for a server-side apply, patch for the
// others.
type change struct {
	server        *Server
	patch         *patch.Patch
	configuration *unstructured.Unstructured
	repeated      error // keys that the configuration has twice
}

// parse reads a patch, in a call.
func (s *Server) parse(c *call, data []byte) (change, error) {
	out := change{server: s}
	var err error
	if c.PatchType == types.ApplyYAMLPatchType && s.fields != nil {
		out.configuration, err = patch.ParseApply(c.kind, data, c.opts.FieldManager)
		out.repeated = patch.Repeated(data)
	} else {
		out.patch, err = patch.Parse(c.PatchType, data)
	}
	return out, err
}

// store stores what the patch makes of old, nil if there is none, in a call.
func (p change) store(ctx context.Context, c *call, old object.Object) (object.Object, error) {
	var next object.Object
	var err error
	if p.configuration != nil {
		if next, err = p.server.apply(ctx, c, old, p.configuration); err != nil {
			return nil, err
		}
		if err := p.checkRepeated(ctx, c); err != nil {
			return nil, err
		}
		c.applied, c.owned = true, next.GetManagedFields()
		if old == nil {
			return p.server.insert(ctx, c, next)
		}
	} else if next, err = apirules.PatchObject(c.kind, old, p.patch); err != nil {
		return nil, err
	} else if err := p.checkFields(ctx, c, old); err != nil {
		return nil, err
	}
	if err := apirules.CheckPatched(c.kind, next, old); err != nil {
		return nil, err
	}
	return p.server.replace(ctx, c, next, old)
}

// checkRepeated does with keys that a configuration has twice what fieldValidation asks
// for. Unknown fields are an error of the manager, whatever it says.
func (p change) checkRepeated(ctx context.Context, c *call) error {
	if p.repeated == nil {
		return nil
	}
	if c.opts.FieldValidation == metav1.FieldValidationStrict {
		return apierrors.NewBadRequest("error strict decoding patch: " + p.repeated.Error())
	}
	_, list, _ := strings.Cut(p.repeated.Error(), "unmarshal errors:")
	var repeated []error
	for line := range strings.Lines(strings.TrimSpace(list)) {
		repeated = append(repeated, errors.New(strings.TrimSpace(line)))
	}
	return apirules.ReportFields(ctx, repeated, c.opts.FieldValidation)
}

// checkFields does what fieldValidation asks for, which is nothing by default.
func (p change) checkFields(ctx context.Context, c *call, old object.Object) error {
	if c.opts.FieldValidation == "" || c.opts.FieldValidation == metav1.FieldValidationIgnore {
		return nil
	}
	err := apirules.ReportFields(ctx, p.patch.StrictErrors(old, c.kind.New()), c.opts.FieldValidation)
	if err == nil {
		return nil
	}
	// The API server shows the patch as the value.
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "(not shown)", err.Error())})
}
