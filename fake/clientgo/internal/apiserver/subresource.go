package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	kinds "github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/review"
)

// CreateSubresource creates object as the subresource of the object called name:
// "token" of a ServiceAccount, "eviction" and "binding" of a Pod, and, as client-go's fake has
// it, "finalize" of a Namespace.
func (s *Server) CreateSubresource(ctx context.Context, r *Resource, namespace, name, subresource string, object runtime.Object, opts metav1.CreateOptions) (runtime.Object, error) {
	switch r.GVR().Resource + "/" + subresource {
	case "serviceaccounts/token":
		return s.createToken(ctx, namespace, name, object, opts)
	case "pods/eviction":
		return s.evict(ctx, r, namespace, name, object, opts)
	case "pods/binding":
		return s.bind(ctx, namespace, name, object, opts)
	case "namespaces/finalize":
		return r.Update(ctx, "", subresource, object, metav1.UpdateOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager})
	}
	if _, _, err := s.login(ctx); err != nil {
		return nil, err
	}
	return nil, r.NoSubresource(subresource, name)
}

func (s *Server) createToken(ctx context.Context, namespace, name string, object runtime.Object, opts metav1.CreateOptions) (runtime.Object, error) {
	ctx, _, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	request, ok := object.(*authenticationv1.TokenRequest)
	switch {
	case !ok || request == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("got a %T, want a non-nil TokenRequest", object))
	case namespace == "" || name == "":
		return nil, apierrors.NewBadRequest(noNamespace)
	}
	// A dry run gives a token, too: nothing is stored either way.
	if err := apirules.CheckDryRun(opts.DryRun); err != nil {
		return nil, err
	}
	issued, err := review.CreateToken(ctx, s.authority, namespace, name, request)
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// evict deletes a Pod: no budget protects it here.
func (s *Server) evict(ctx context.Context, pods *Resource, namespace, name string, eviction runtime.Object, create metav1.CreateOptions) (runtime.Object, error) {
	var meta metav1.ObjectMeta
	var opts *metav1.DeleteOptions
	switch e := eviction.(type) {
	case *policyv1.Eviction:
		if e != nil {
			meta, opts = e.ObjectMeta, e.DeleteOptions
		}
	case *policyv1beta1.Eviction:
		if e != nil {
			meta, opts = e.ObjectMeta, e.DeleteOptions
		}
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("got a %T, want an Eviction", eviction))
	}
	if name == "" {
		name = meta.Name
	}
	switch {
	case meta.Name != "" && meta.Name != name:
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	case meta.Namespace != "" && meta.Namespace != namespace:
		return nil, apierrors.NewBadRequest(otherNamespace)
	}
	opts = opts.DeepCopy()
	if opts == nil {
		opts = &metav1.DeleteOptions{}
	}
	if len(create.DryRun) > 0 {
		opts.DryRun = create.DryRun
	}
	ctx, err := pods.enter(ctx, namespace, noNamespace)
	if err != nil {
		return nil, err
	}
	op := fault.Op{Verb: "create", Resource: "pods", Subresource: kinds.EvictionSubresource, Namespace: namespace, Name: name, Object: eviction}
	err = s.authority.Cluster.Do(ctx, op, func(ctx context.Context) error {
		_, err := pods.store.Delete(ctx, namespace, name, *opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return eviction, nil
}

// bind assigns a Pod to a Node.
func (s *Server) bind(ctx context.Context, namespace, name string, object runtime.Object, opts metav1.CreateOptions) (runtime.Object, error) {
	ctx, _, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	binding, ok := object.(*corev1.Binding)
	switch {
	case !ok || binding == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("got a %T, want a non-nil Binding", object))
	case name != "" && binding.Name != name:
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	case binding.Namespace != "" && binding.Namespace != namespace:
		return nil, apierrors.NewBadRequest(otherNamespace)
	}
	binding = binding.DeepCopy()
	binding.Namespace = namespace
	if err := s.authority.Cluster.BindPod(ctx, binding, opts); err != nil {
		return nil, err
	}
	return binding, nil
}
