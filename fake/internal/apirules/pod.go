package apirules

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

const defaultGracePeriod = corev1.DefaultTerminationGracePeriodSeconds

// preparePod defaults what the API server defaults and readers of pods rely on.
func preparePod(pod *corev1.Pod) {
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	defaultPod(&pod.Spec)
}

func preparePodUpdate(pod, before *corev1.Pod) {
	pod.Status = *before.Status.DeepCopy()
	defaultPod(&pod.Spec)
	pod.Generation = before.Generation
	if !equality.Semantic.DeepEqual(pod.Spec, before.Spec) {
		pod.Generation++
	}
}

func defaultPod(spec *corev1.PodSpec) {
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if spec.DNSPolicy == "" {
		spec.DNSPolicy = corev1.DNSClusterFirst
	}
	if spec.SchedulerName == "" {
		spec.SchedulerName = corev1.DefaultSchedulerName
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = new(int64)
		*spec.TerminationGracePeriodSeconds = defaultGracePeriod
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.EnableServiceLinks == nil {
		yes := corev1.DefaultEnableServiceLinks
		spec.EnableServiceLinks = &yes
	}
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	for i, volume := range spec.Volumes {
		if volume.VolumeSource == (corev1.VolumeSource{}) {
			spec.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	eachToken(spec, func(_ *field.Path, source *corev1.ServiceAccountTokenProjection) {
		if source.ExpirationSeconds == nil {
			seconds := int64(defaultTokenSeconds)
			source.ExpirationSeconds = &seconds
		}
	})
}

// eachToken calls f for the projected token sources of spec.
func eachToken(spec *corev1.PodSpec, f func(path *field.Path, source *corev1.ServiceAccountTokenProjection)) {
	volumes := field.NewPath("spec", "volumes")
	for i, volume := range spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		projected := volumes.Index(i).Child("projected")
		for j, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				f(projected.Child("sources").Index(j).Child("serviceAccountToken"), source.ServiceAccountToken)
			}
		}
	}
}

// validatePod validates the parts of a pod that service accounts are about, what
// they are mounted into, and that it has containers at all.
func validatePod(pod *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	mounted, errs := validateVolumes(&pod.Spec, spec.Child("volumes"))
	errs = append(errs, validateContainers(&pod.Spec, mounted, spec)...)
	if name := pod.Spec.ServiceAccountName; name != "" {
		for _, msg := range object.ServiceAccounts.CheckName(name) {
			errs = append(errs, field.Invalid(spec.Child("serviceAccountName"), name, msg))
		}
	}
	if name := pod.Spec.NodeName; name != "" {
		for _, msg := range object.Nodes.CheckName(name) {
			errs = append(errs, field.Invalid(spec.Child("nodeName"), name, msg))
		}
	}
	if pod.Spec.ServiceAccountName == "" {
		eachToken(&pod.Spec, func(path *field.Path, _ *corev1.ServiceAccountTokenProjection) {
			errs = append(errs, field.Forbidden(path, "must not be specified when serviceAccountName is not set"))
		})
	}
	return errs
}

// validatePodUpdate holds a pod's spec still, but for what may change.
func validatePodUpdate(pod, before *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	if len(pod.Spec.Containers) != len(before.Spec.Containers) || len(pod.Spec.InitContainers) != len(before.Spec.InitContainers) {
		return field.ErrorList{field.Forbidden(path.Child("containers"), "pod updates may not add or remove containers")}
	}
	allowed := before.Spec.DeepCopy()
	for i := range allowed.Containers {
		allowed.Containers[i].Image = pod.Spec.Containers[i].Image
	}
	for i := range allowed.InitContainers {
		allowed.InitContainers[i].Image = pod.Spec.InitContainers[i].Image
	}
	allowed.ActiveDeadlineSeconds = pod.Spec.ActiveDeadlineSeconds
	allowed.Tolerations = pod.Spec.Tolerations
	allowed.TerminationGracePeriodSeconds = pod.Spec.TerminationGracePeriodSeconds
	if !equality.Semantic.DeepEqual(*allowed, pod.Spec) {
		return field.ErrorList{field.Forbidden(path, "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")}
	}
	return nil
}
