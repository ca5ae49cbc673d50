package apirules

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const preconditionFailed = "Precondition failed"

// Bind assigns pod to the Node that binding names.
func Bind(pod *corev1.Pod, binding *corev1.Binding) error {
	switch {
	case binding.UID != "" && binding.UID != pod.UID:
		return fmt.Errorf("%s: UID in precondition: %v, UID in object meta: %v", preconditionFailed, binding.UID, pod.UID)
	case binding.ResourceVersion != "" && binding.ResourceVersion != pod.ResourceVersion:
		return fmt.Errorf("%s: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", preconditionFailed, binding.ResourceVersion, pod.ResourceVersion)
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Annotations = merged(pod.Annotations, binding.Annotations)
	pod.Labels = merged(pod.Labels, binding.Labels)
	pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	return nil
}

func merged(into, from map[string]string) map[string]string {
	if into == nil && len(from) > 0 {
		into = map[string]string{}
	}
	maps.Copy(into, from)
	return into
}

// resize gives the containers of next the resources of those of sent.
func resize(next, sent *corev1.Pod) {
	resizeContainers(&next.Spec.Containers, sent.Spec.Containers)
	resizeContainers(&next.Spec.InitContainers, sent.Spec.InitContainers)
}

// countResize counts what changes the spec.
func countResize(pod, before *corev1.Pod) {
	if !equality.Semantic.DeepEqual(before.Spec, pod.Spec) {
		pod.Generation++
	}
}

func resizeContainers(list *[]corev1.Container, sent []corev1.Container) {
	if !sameContainers(sent, *list) {
		*list = sent // which the validation rejects
		return
	}
	for i := range *list {
		(*list)[i].Resources, (*list)[i].ResizePolicy = sent[i].Resources, sent[i].ResizePolicy
	}
}

// validateResize holds all still but the resources.
func validateResize(pod, before *corev1.Pod) field.ErrorList {
	if !sameContainers(pod.Spec.Containers, before.Spec.Containers) || !sameContainers(pod.Spec.InitContainers, before.Spec.InitContainers) {
		return field.ErrorList{field.Forbidden(field.NewPath("spec"), "only cpu and memory resources are mutable")}
	}
	return nil
}

func sameContainers(a, b []corev1.Container) bool {
	return slices.EqualFunc(a, b, func(a, b corev1.Container) bool { return a.Name == b.Name })
}
