package apiserver

import (
	"context"
	"fmt"
	"net/http"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/internal/api"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
	"github.com/kubesa/serviceaccount/fake/internal/store"
)

// dispatch does what a request asks of target.
func (c *call) dispatch(t target) error {
	if err := c.allow(t.methods()...); err != nil {
		return err
	}
	if t.subresource == object.TokenSubresource {
		return c.requestToken(t)
	}
	switch c.request.Method {
	case http.MethodPost:
		return c.create(t)
	case http.MethodPut:
		return c.update(t)
	case http.MethodPatch:
		return c.patch(t)
	case http.MethodDelete:
		if t.name == "" {
			return c.deleteCollection(t)
		}
		return c.delete(t)
	}
	if t.name != "" {
		return c.get(t)
	}
	return c.list(t)
}

// methods returns what is allowed on t.
func (t target) methods() []string {
	switch {
	case t.kind == nil:
		return []string{http.MethodGet}
	case t.subresource != "":
		return api.MethodsOf(t.subresource)
	case t.name != "":
		return []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete}
	case t.kind.Namespaced && t.namespace == "":
		return []string{http.MethodGet}
	case t.kind == object.Namespaces:
		return []string{http.MethodGet, http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodPost, http.MethodDelete}
}

func (c *call) get(t target) error {
	opts, err := c.getOptions()
	if err != nil {
		return err
	}
	if t.kind == nil { // no event is ever recorded
		return c.do("get", t, func() error { return apierrors.NewNotFound(t.groupResource(), t.name) })
	}
	revision, err := store.ParseRevision(opts.ResourceVersion)
	if err != nil {
		return err
	}
	if last := c.revision(); revision > last {
		return store.TooLarge(revision, last)
	}
	found, err := c.getStored(t)
	if err != nil {
		return err
	}
	return c.sendObject(http.StatusOK, t.kind, found)
}

func (c *call) getStored(t target) (fake.Object, error) {
	if t.subresource != "" {
		return c.of(t).GetSubresource(c.ctx, t.namespace, t.name, t.subresource)
	}
	return c.of(t).Get(c.ctx, t.namespace, t.name)
}

// do answers a call of a resource that has no objects.
func (c *call) do(verb string, t target, answer func() error) error {
	op := fault.Op{Verb: verb, Resource: t.resource, Namespace: t.namespace, Name: t.name}
	return c.cluster.Do(c.ctx, op, func(context.Context) error { return answer() })
}

func (c *call) list(t target) error {
	opts, err := c.listOptions()
	if err != nil {
		return err
	}
	if opts.Watch {
		return c.watch(t, opts)
	}
	if t.kind == nil {
		if err := c.do("list", t, func() error { return nil }); err != nil {
			return err
		}
		return c.sendEvents()
	}
	items, meta, err := c.of(t).List(c.ctx, t.namespace, opts)
	if err != nil {
		return err
	}
	return c.sendList(t.kind, object.Page{Items: items, Meta: meta})
}

func (c *call) create(t target) error {
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	sent := t.kind.New()
	if err := c.read(sent.(message), opts.FieldValidation, gvkOf(t.kind)); err != nil {
		return err
	}
	if err := t.place(sent); err != nil {
		return err
	}
	if err := c.admitCreate(t, sent); err != nil {
		return err
	}
	stored, err := c.of(t).Create(c.ctx, sent, opts)
	c.settle()
	if err != nil {
		return err
	}
	return c.sendObject(http.StatusCreated, t.kind, stored)
}

func (c *call) update(t target) error {
	opts, err := c.updateOptions()
	if err != nil {
		return err
	}
	sent := t.kind.New()
	if err := c.read(sent.(message), opts.FieldValidation, gvkOf(t.kind)); err != nil {
		return err
	}
	switch sent.GetName() {
	case t.name:
	case "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", t.name))
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", sent.GetName(), t.name))
	}
	if err := t.place(sent); err != nil {
		return err
	}
	if err := c.admitUpdate(t, func(object.Object) (object.Object, error) { return object.CopyOf(sent), nil }); err != nil {
		return err
	}
	stored, err := c.of(t).Update(c.ctx, t.subresource, sent, opts)
	c.settle()
	if err != nil {
		return err
	}
	return c.sendObject(http.StatusOK, t.kind, stored)
}

// place puts what was sent into the namespace of the path.
func (t target) place(sent object.Object) error {
	switch sent.GetNamespace() {
	case t.namespace:
	case "":
		sent.SetNamespace(t.namespace)
	default:
		if t.kind.Namespaced {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	}
	return nil
}

func (c *call) patch(t target) error {
	mediaType, err := c.mediaType()
	if err != nil {
		return err
	}
	// The type comes before the body, which may be YAML.
	patchType := types.PatchType(mediaType)
	if patchType == types.ApplyYAMLPatchType {
		return c.apply(t)
	}
	if patch.CheckType(patchType) != nil {
		return errNoRoute(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "415: Unsupported Media Type")
	}
	opts, err := c.patchOptions(patchType)
	if err != nil {
		return err
	}
	data, err := c.body()
	if err != nil {
		return err
	}
	change, err := patch.Parse(patchType, data)
	if err != nil {
		return err
	}
	opts.FieldValidation = warnByDefault(opts.FieldValidation)
	err = c.admitUpdate(t, func(old object.Object) (object.Object, error) {
		return apirules.PatchObject(t.kind, old, change)
	})
	if err != nil {
		return err
	}
	stored, err := c.of(t).Patch(c.ctx, t.namespace, t.name, t.subresource, patchType, data, opts)
	c.settle()
	if err != nil {
		return err
	}
	return c.sendObject(http.StatusOK, t.kind, stored)
}

func (c *call) delete(t target) error {
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	last, err := c.of(t).Delete(c.ctx, t.namespace, t.name, opts)
	stays := false
	if err == nil {
		now := c.of(t).Stored(t.namespace, t.name)
		stays = now != nil && now.GetUID() == last.GetUID() && len(opts.DryRun) == 0
	}
	c.settle()
	switch {
	case err != nil:
		return err
	case stays, t.kind == object.Pods, t.kind == object.ServiceAccounts:
		return c.sendObject(http.StatusOK, t.kind, last)
	}
	return c.sendJSON(http.StatusOK, success(t.kind.GroupResource(), last))
}

func (c *call) deleteCollection(t target) error {
	listOpts, err := c.listOptions()
	if err != nil {
		return err
	}
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	items, meta, err := c.of(t).DeleteCollection(c.ctx, t.namespace, opts, listOpts)
	c.settle()
	if err != nil {
		return err
	}
	return c.sendList(t.kind, object.Page{Items: items, Meta: meta})
}

// deleteOptionsKinds are those of the groups that clients name.
func deleteOptionsKinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("DeleteOptions"), certificatesv1.SchemeGroupVersion.WithKind("DeleteOptions"), metav1.SchemeGroupVersion.WithKind("DeleteOptions"),
	}
}

// revision returns the revision of the last change.
func (c *call) revision() uint64 {
	revision, err := store.ParseRevision(c.cluster.Revision())
	if err != nil { // it is a number
		return 0
	}
	return revision
}
