package apiserver

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// admitCreate asks the hook about a new pod, which it may change.
func (c *call) admitCreate(t target, sent object.Object) error {
	pod, ok := sent.(*corev1.Pod)
	if !ok || c.cfg.AdmitPod == nil {
		return nil
	}
	// As in an API server, a Namespace that isn't there comes first.
	if err := c.mayCreate(t, sent); err != nil {
		return err
	}
	return c.cfg.AdmitPod(c.ctx, PodOperation{Operation: admissionv1.Create, Namespace: t.namespace, Name: pod.Name, Pod: pod})
}

// admitUpdate asks the hook about what change makes of a pod. Without a pod it
// is not asked: the Cluster has the right error.
func (c *call) admitUpdate(t target, change func(old object.Object) (object.Object, error)) error {
	if t.kind != object.Pods || c.cfg.AdmitPod == nil {
		return nil
	}
	old := c.of(t).Stored(t.namespace, t.name)
	if old == nil {
		return nil
	}
	changed, err := change(old)
	if err != nil {
		return err
	}
	return c.admitChange(t, changed, old)
}

// admitChange asks the hook about the Pod, or part of it, that is to follow old.
func (c *call) admitChange(t target, changed, old object.Object) error {
	next, err := apirules.Part(t.kind, t.subresource, changed, old)
	if err != nil {
		return err
	}
	apirules.KeepMeta(next, old)
	return c.cfg.AdmitPod(c.ctx, PodOperation{
		Operation: admissionv1.Update, Namespace: t.namespace, Name: t.name, Subresource: t.subresource,
		Pod: next.(*corev1.Pod), Old: object.CopyOf(old).(*corev1.Pod),
	})
}

// mayCreate returns the error of a create in the Namespace of t, if there is one.
func (c *call) mayCreate(t target, o object.Object) error {
	ns, _ := c.cluster.Resource(object.Namespaces.Resource).Stored("", t.namespace).(*corev1.Namespace)
	return apirules.CheckNamespace(t.kind, o, ns)
}
