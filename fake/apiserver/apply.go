package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/admit"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// apply answers a server-side apply, which creates what isn't there.
func (c *call) apply(t target) error {
	opts, err := c.patchOptions(types.ApplyYAMLPatchType)
	if err != nil {
		return err
	}
	data, err := c.body()
	if err != nil {
		return err
	}
	opts.FieldValidation = warnByDefault(opts.FieldValidation)
	ctx := c.ctx
	if t.kind == object.Pods && c.cfg.AdmitPod != nil {
		ctx = admit.With(ctx, func(next, old object.Object) error {
			if old == nil {
				return c.admitCreate(t, next)
			}
			return c.admitChange(t, object.CopyOf(next), old)
		})
	}
	applied, created, err := c.of(t).Apply(ctx, t.namespace, t.name, t.subresource, data, opts)
	c.settle()
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.sendObject(status, t.kind, applied)
}
