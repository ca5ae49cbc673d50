package fake

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// BindPod assigns the Pod that binding is about to the Node that it names, as a
// scheduler does with the subresource "binding". It fails with a conflict if the Pod has
// a Node or is being deleted, or isn't the one whose UID or resourceVersion binding has.
func (c *Cluster) BindPod(ctx context.Context, binding *corev1.Binding, opts metav1.CreateOptions) error {
	if binding == nil {
		return apierrors.NewBadRequest("fake: got a nil Binding")
	}
	if err := apirules.CheckPath(object.Pods, binding.Namespace, binding.Name); err != nil {
		return err
	}
	how := &writeOptions{dryRun: opts.DryRun, manager: opts.FieldManager}
	binding = binding.DeepCopy()
	action := &Action{Op: fault.Op{
		Verb: "create", Resource: object.Pods.Resource, Subresource: object.BindingSubresource,
		Namespace: binding.Namespace, Name: binding.Name, Object: binding,
	}}
	return c.call(ctx, action, func() error {
		if err := how.check(); err != nil {
			return err
		}
		if kind := binding.Target.Kind; kind != "" && kind != "Node" || binding.Target.Name == "" {
			return apierrors.NewBadRequest("the target of a Binding must be a Node with a name")
		}
		old, exists := c.state.Get(object.Pods, binding.Namespace, binding.Name)
		if !exists {
			return apierrors.NewNotFound(object.Pods.GroupResource(), binding.Name)
		}
		pod := object.CopyOf(old).(*corev1.Pod)
		if err := apirules.Bind(pod, binding); err != nil {
			return apierrors.NewConflict(object.Pods.GroupResource(), binding.Name, err)
		}
		next, err := c.manage(object.Pods, old, pod, action.Op, how)
		if err != nil {
			return err
		}
		if !how.isDryRun() {
			c.commit(object.Pods, next, old)
		}
		return nil
	})
}
