package apiserver

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// CreateSubresource creates object as the subresource of the object called name:
// "token" of a ServiceAccount, "eviction" of a Pod, and, as client-go's fake has
// it, "finalize" of a Namespace.
func (s *Server) CreateSubresource(ctx context.Context, r Resource, namespace, name, subresource string, object runtime.Object) (runtime.Object, error) {
	switch r.GVR().Resource + "/" + subresource {
	case "serviceaccounts/token":
		return s.createToken(ctx, namespace, name, object)
	case "pods/eviction":
		return s.evict(ctx, r, namespace, name, object)
	case "namespaces/finalize":
		return r.Update(ctx, "", subresource, object, metav1.UpdateOptions{})
	}
	if _, _, err := s.login(ctx); err != nil {
		return nil, err
	}
	return nil, r.NoSubresource(subresource, name)
}

// createToken answers a TokenRequest. The generic part of the API server has
// compared the namespaces before anything else looks at it (REQ-3).
func (s *Server) createToken(ctx context.Context, namespace, name string, object runtime.Object) (runtime.Object, error) {
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
	case request.Namespace != "" && request.Namespace != namespace:
		return nil, apierrors.NewBadRequest(otherNamespace)
	}
	issued, err := s.authority.CreateToken(ctx, namespace, name, request)
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// evict deletes a Pod: no budget protects it here.
func (s *Server) evict(ctx context.Context, pods Resource, namespace, name string, object runtime.Object) (runtime.Object, error) {
	var meta metav1.ObjectMeta
	var opts *metav1.DeleteOptions
	switch e := object.(type) {
	case *policyv1.Eviction:
		if e != nil {
			meta, opts = e.ObjectMeta, e.DeleteOptions
		}
	case *policyv1beta1.Eviction:
		if e != nil {
			meta, opts = e.ObjectMeta, e.DeleteOptions
		}
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("got a %T, want an Eviction", object))
	}
	if name == "" {
		name = meta.Name
	}
	switch {
	case meta.Name != "" && meta.Name != name:
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	case meta.Namespace != "" && meta.Namespace != namespace:
		return nil, apierrors.NewBadRequest(otherNamespace)
	case opts == nil:
		opts = &metav1.DeleteOptions{}
	}
	if err := pods.Delete(ctx, namespace, name, *opts); err != nil {
		return nil, err
	}
	return object, nil
}

// finalize replaces the finalizers in the spec of a Namespace.
func (s *Server) finalize(ctx context.Context, ns *corev1.Namespace, opts metav1.UpdateOptions) (*corev1.Namespace, error) {
	finalizers := ns.Spec.Finalizers
	if finalizers == nil {
		finalizers = []corev1.FinalizerName{}
	}
	data, err := part(ns, map[string]any{"finalizers": finalizers})
	if err != nil {
		return nil, err
	}
	return s.authority.Cluster.CoreV1().Namespaces().Patch(ctx, ns.Name, types.MergePatchType, data, metav1.PatchOptions{DryRun: opts.DryRun}, "finalize")
}

// ephemeralContainers replaces the ephemeral containers of a Pod.
func (s *Server) ephemeralContainers(ctx context.Context, pod *corev1.Pod, opts metav1.UpdateOptions) (*corev1.Pod, error) {
	if len(opts.DryRun) == 0 {
		return s.authority.Cluster.UpdatePodEphemeralContainers(ctx, pod)
	}
	data, err := part(pod, map[string]any{"ephemeralContainers": pod.Spec.EphemeralContainers})
	if err != nil {
		return nil, err
	}
	return s.authority.Cluster.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, data, metav1.PatchOptions{DryRun: opts.DryRun}, "ephemeralcontainers")
}

// part returns a merge patch that does what an update of a part of o's spec
// does.
func part(o metav1.Object, spec map[string]any) ([]byte, error) {
	meta := map[string]any{}
	if uid := o.GetUID(); uid != "" {
		meta["uid"] = uid
	}
	if rv := o.GetResourceVersion(); rv != "" {
		meta["resourceVersion"] = rv
	}
	data, err := json.Marshal(map[string]any{"metadata": meta, "spec": spec})
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return data, nil
}
