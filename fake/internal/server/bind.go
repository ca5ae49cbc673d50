package server

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// Bind assigns the Pod that binding is about to the Node that it names.
func (s *Server) Bind(ctx context.Context, binding *corev1.Binding, opts metav1.CreateOptions) error {
	if binding == nil {
		return apierrors.NewBadRequest("fake: got a nil Binding")
	}
	if err := apirules.CheckPath(object.Pods, binding.Namespace, binding.Name); err != nil {
		return err
	}
	binding = binding.DeepCopy()
	c := callOf(object.Pods, fault.Op{
		Verb: "create", Subresource: object.BindingSubresource, Namespace: binding.Namespace, Name: binding.Name, Object: binding,
	})
	c.opts = metav1.PatchOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager}
	return s.run(ctx, c, func() error {
		if err := apirules.CheckDryRun(opts.DryRun); err != nil {
			return err
		}
		if kind := binding.Target.Kind; kind != "" && kind != "Node" || binding.Target.Name == "" {
			return apierrors.NewBadRequest("the target of a Binding must be a Node with a name")
		}
		old, exists := s.state.Get(object.Pods, binding.Namespace, binding.Name)
		if !exists {
			return apierrors.NewNotFound(object.Pods.GroupResource(), binding.Name)
		}
		pod := object.CopyOf(old).(*corev1.Pod)
		if err := apirules.Bind(pod, binding); err != nil {
			return apierrors.NewConflict(object.Pods.GroupResource(), binding.Name, err)
		}
		next, err := s.manage(c, old, pod)
		if err == nil && !c.isDryRun() {
			s.commit(object.Pods, next, old)
		}
		return err
	})
}
