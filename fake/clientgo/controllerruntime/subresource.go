package controllerruntime

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
)

func (r router) subresourceGet(ctx context.Context, base client.Client, name string, obj, subresource client.Object, opts ...client.SubResourceGetOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.SubResource(name).Get(ctx, obj, subresource, opts...)
	case isNil(subresource):
		return apierrors.NewBadRequest("the subresource is nil")
	}
	found, err := resource.Get(ctx, obj.GetNamespace(), obj.GetName(), name)
	return give(found, err, subresource, resource.GVK())
}

func (r router) subresourceCreate(ctx context.Context, base client.Client, name string, obj, subresource client.Object, opts ...client.SubResourceCreateOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.SubResource(name).Create(ctx, obj, subresource, opts...)
	case isNil(subresource):
		return apierrors.NewBadRequest("the subresource is nil")
	}
	gvk, err := base.GroupVersionKindFor(subresource)
	if err != nil {
		return apierrors.NewBadRequest("the subresource is of no known kind")
	}
	var sent runtime.Object = subresource
	for _, body := range bodies() {
		if resource.GVR().Resource+"/"+name != body.path {
			continue
		}
		if gvk != body.gvk {
			return apierrors.NewBadRequest(fmt.Sprintf("the subresource is a %s, want a %s", gvk, body.gvk))
		}
		if sent, err = take(subresource, body.typed, ""); err != nil {
			return err
		}
	}
	o := (&client.SubResourceCreateOptions{}).ApplyOptions(opts)
	created, err := r.server.CreateSubresource(ctx, resource, obj.GetNamespace(), obj.GetName(), name, sent, *o.AsCreateOptions())
	return give(created, err, subresource, gvk)
}

// body is what is created as a subresource.
type body struct {
	path  string
	gvk   schema.GroupVersionKind
	typed runtime.Object
}

func bodies() []body {
	return []body{
		{"serviceaccounts/token", authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), &authenticationv1.TokenRequest{}},
		{"pods/eviction", policyv1.SchemeGroupVersion.WithKind("Eviction"), &policyv1.Eviction{}},
		{"pods/binding", corev1.SchemeGroupVersion.WithKind("Binding"), &corev1.Binding{}},
	}
}

func (r router) subresourceUpdate(ctx context.Context, base client.Client, name string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.SubResource(name).Update(ctx, obj, opts...)
	}
	o := (&client.SubResourceUpdateOptions{}).ApplyOptions(opts)
	body := obj
	if !isNil(o.SubResourceBody) {
		body = o.SubResourceBody
	}
	sent, err := take(body, resource.New(), o.FieldValidation)
	if err != nil {
		return err
	}
	updated, err := resource.Update(ctx, obj.GetNamespace(), name, sent, *o.AsUpdateOptions())
	return give(updated, err, body, resource.GVK())
}

func (r router) subresourcePatch(ctx context.Context, base client.Client, name string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	resource, err := r.resource(base, obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.SubResource(name).Patch(ctx, obj, patch, opts...)
	case isNil(patch):
		return apierrors.NewBadRequest("the patch is nil")
	}
	o := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	body := obj
	if !isNil(o.SubResourceBody) {
		body = o.SubResourceBody
	}
	data, err := patch.Data(body)
	if err != nil {
		return err
	}
	patched, err := resource.Patch(ctx, obj.GetNamespace(), obj.GetName(), name, patch.Type(), data, *o.AsPatchOptions())
	return give(patched, err, body, resource.GVK())
}

// apply sends a server-side apply to the Cluster.
func (r router) apply(ctx context.Context, base client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	resource, a, err := r.applied(obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.Apply(ctx, obj, opts...)
	}
	o := (&client.ApplyOptions{}).ApplyOptions(opts)
	return r.applyTo(ctx, resource, a, "", obj, *o.AsPatchOptions())
}

func (r router) subresourceApply(ctx context.Context, base client.Client, name string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	resource, a, err := r.applied(obj)
	switch {
	case err != nil:
		return err
	case resource == nil:
		return base.SubResource(name).Apply(ctx, obj, opts...)
	}
	o := (&client.SubResourceApplyOptions{}).ApplyOpts(opts)
	into := obj
	if !isNil(o.SubResourceBody) {
		body, err := json.Marshal(o.SubResourceBody)
		if err != nil {
			return apierrors.NewBadRequest("the apply configuration has no JSON form")
		}
		a.data, into = body, o.SubResourceBody
	}
	return r.applyTo(ctx, resource, a, name, into, *o.AsPatchOptions())
}

// application is an apply configuration as it is sent.
type application struct {
	metav1.PartialObjectMetadata
	data []byte
}

func (r router) applied(obj runtime.ApplyConfiguration) (*apiserver.Resource, application, error) {
	var a application
	if isNil(obj) || reflect.TypeOf(obj).Kind() != reflect.Pointer {
		return nil, a, apierrors.NewBadRequest("the apply configuration is nil or no pointer")
	}
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, a, apierrors.NewBadRequest("the apply configuration has no JSON form")
	}
	if err := json.Unmarshal(data, &a.PartialObjectMetadata); err != nil {
		return nil, a, apierrors.NewBadRequest("the apply configuration is not an object")
	}
	a.data = data
	return r.server.Kind(a.GroupVersionKind()), a, nil
}

// applyTo applies a and puts the result into into, instead of what it holds.
func (r router) applyTo(ctx context.Context, resource *apiserver.Resource, a application, subresource string, into runtime.ApplyConfiguration, opts metav1.PatchOptions) error {
	stored, err := resource.Patch(ctx, a.Namespace, a.Name, subresource, types.ApplyPatchType, a.data, opts)
	if err != nil {
		return err
	}
	stored.GetObjectKind().SetGroupVersionKind(resource.GVK())
	data, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	// An unstructured configuration holds a pointer, which must stay.
	if u, ok := into.(json.Unmarshaler); !ok {
		reflect.ValueOf(into).Elem().SetZero()
	} else {
		return u.UnmarshalJSON(data)
	}
	return json.Unmarshal(data, into)
}
