package apirules

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

const defaultGracePeriod = corev1.DefaultTerminationGracePeriodSeconds

// The limits of a projected token (ADM-230).
const (
	defaultTokenSeconds = 60 * 60
	minTokenSeconds     = 10 * 60
	maxTokenSeconds     = 1 << 32
)

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
	eachToken(spec, func(_, _ *field.Path, source *corev1.ServiceAccountTokenProjection) {
		if source.ExpirationSeconds == nil {
			seconds := int64(defaultTokenSeconds)
			source.ExpirationSeconds = &seconds
		}
	})
}

// eachToken calls f for the projected token sources of spec, with the paths of
// the volume and of the source.
func eachToken(spec *corev1.PodSpec, f func(volume, path *field.Path, source *corev1.ServiceAccountTokenProjection)) {
	volumes := field.NewPath("spec", "volumes")
	for i, volume := range spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		projected := volumes.Index(i).Child("projected")
		for j, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				f(projected, projected.Child("sources").Index(j).Child("serviceAccountToken"), source.ServiceAccountToken)
			}
		}
	}
}

// validatePod validates the parts of a pod that service accounts are about, and
// that it has containers at all.
func validatePod(pod *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if len(pod.Spec.Containers) == 0 {
		errs = append(errs, field.Required(spec.Child("containers"), ""))
	}
	names := map[string]bool{}
	for i, container := range pod.Spec.Containers {
		errs = append(errs, validateContainer(container.Name, container.Image, names, spec.Child("containers").Index(i))...)
	}
	for i, container := range pod.Spec.InitContainers {
		errs = append(errs, validateContainer(container.Name, container.Image, names, spec.Child("initContainers").Index(i))...)
	}
	if name := pod.Spec.ServiceAccountName; name != "" {
		for _, msg := range object.ServiceAccounts.CheckName(name) {
			errs = append(errs, field.Invalid(spec.Child("serviceAccountName"), name, msg))
		}
	}
	eachToken(&pod.Spec, func(volume, path *field.Path, source *corev1.ServiceAccountTokenProjection) {
		if pod.Spec.ServiceAccountName == "" {
			errs = append(errs, field.Forbidden(path, "must not be specified when serviceAccountName is not set"))
		}
		errs = append(errs, validateTokenSource(source, volume, path)...)
	})
	return errs
}

func validateContainer(name, image string, names map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case name == "":
		errs = append(errs, field.Required(path.Child("name"), ""))
	case names[name]:
		errs = append(errs, field.Duplicate(path.Child("name"), name))
	default:
		for _, msg := range validation.IsDNS1123Label(name) {
			errs = append(errs, field.Invalid(path.Child("name"), name, msg))
		}
	}
	names[name] = true
	if image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	return errs
}

func validateTokenSource(source *corev1.ServiceAccountTokenProjection, volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch seconds := source.ExpirationSeconds; {
	case seconds == nil:
	case *seconds < minTokenSeconds:
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *seconds, "may not specify a duration less than 10 minutes"))
	case *seconds > maxTokenSeconds:
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	// The API server, too, calls this the path of the volume.
	at := volume.Child("path")
	switch name := source.Path; {
	case name == "":
		errs = append(errs, field.Required(at, ""))
	case strings.HasPrefix(name, "/"):
		errs = append(errs, field.Invalid(at, name, "must be a relative path"))
	case slices.Contains(strings.Split(name, "/"), ".."):
		errs = append(errs, field.Invalid(at, name, "must not contain '..'"))
	case strings.HasPrefix(name, ".."):
		errs = append(errs, field.Invalid(at, name, "must not start with '..'"))
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

// validateEphemeralContainers holds those still that are there already.
func validateEphemeralContainers(pod, before *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec", "ephemeralContainers")
	names := map[string]bool{}
	for _, container := range pod.Spec.Containers {
		names[container.Name] = true
	}
	for _, container := range pod.Spec.InitContainers {
		names[container.Name] = true
	}
	var errs field.ErrorList
	for i, container := range pod.Spec.EphemeralContainers {
		errs = append(errs, validateContainer(container.Name, container.Image, names, path.Index(i))...)
	}
	for _, was := range before.Spec.EphemeralContainers {
		i := slices.IndexFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == was.Name })
		switch {
		case i < 0:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !equality.Semantic.DeepEqual(pod.Spec.EphemeralContainers[i], was):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n", was.Name)))
		}
	}
	return errs
}
