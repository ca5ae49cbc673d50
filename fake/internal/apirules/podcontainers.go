package apirules

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// validateContainers validates what a pod's containers are called, run, mount and
// read from Secrets and ConfigMaps.
func validateContainers(spec *corev1.PodSpec, mounted volumes, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), ""))
	}
	names := map[string]bool{}
	for i, c := range spec.Containers {
		at := at.Child("containers").Index(i)
		errs = append(errs, validateContainer(c, mounted, at)...)
		errs = append(errs, unique(names, c.Name, at)...)
	}
	for i, c := range spec.InitContainers {
		at := at.Child("initContainers").Index(i)
		errs = append(errs, validateContainer(c, mounted, at)...)
		unnamed := names[""] // only that of a container counts
		errs = append(errs, unique(names, c.Name, at)...)
		names[""] = unnamed
	}
	return append(errs, validateEphemeralContainers(spec, mounted, at.Child("ephemeralContainers"))...)
}

func unique(names map[string]bool, name string, at *field.Path) field.ErrorList {
	if names[name] {
		return field.ErrorList{field.Duplicate(at.Child("name"), name)}
	}
	names[name] = true
	return nil
}

func validateContainer(c corev1.Container, mounted volumes, at *field.Path) field.ErrorList {
	errs := append(required(c.Name, at.Child("name")), validateLabelName(c.Name, at.Child("name"))...)
	errs = append(errs, required(c.Image, at.Child("image"))...)
	for i, env := range c.Env {
		errs = append(errs, validateEnv(env, at.Child("env").Index(i))...)
	}
	for i, from := range c.EnvFrom {
		at := at.Child("envFrom").Index(i)
		if from.ConfigMapRef != nil {
			errs = append(errs, validateReference(from.ConfigMapRef.Name, object.ConfigMaps, at.Child("configMapRef", "name"))...)
		}
		if from.SecretRef != nil {
			errs = append(errs, validateReference(from.SecretRef.Name, object.Secrets, at.Child("secretRef", "name"))...)
		}
	}
	return append(errs, mounted.validateMounts(c.VolumeMounts, c.VolumeDevices, at)...)
}

// validateReference requires a name that a generated one may begin with, too.
func validateReference(name string, k *object.Kind, at *field.Path) field.ErrorList {
	errs := required(name, at)
	if name != "" {
		for _, msg := range k.CheckName(maskTrailingDash(name)) {
			errs = append(errs, field.Invalid(at, name, msg))
		}
	}
	return errs
}

func validateEnv(env corev1.EnvVar, at *field.Path) field.ErrorList {
	errs := required(env.Name, at.Child("name"))
	if env.ValueFrom == nil {
		return errs
	}
	validateKey := func(name, key string, k *object.Kind, at *field.Path) {
		for _, msg := range k.CheckName(name) {
			errs = append(errs, field.Invalid(at.Child("name"), name, msg))
		}
		errs = append(errs, required(key, at.Child("key"))...)
		if key != "" {
			for _, msg := range validation.IsConfigMapKey(key) {
				errs = append(errs, field.Invalid(at.Child("key"), key, msg))
			}
		}
	}
	if ref := env.ValueFrom.ConfigMapKeyRef; ref != nil {
		validateKey(ref.Name, ref.Key, object.ConfigMaps, at.Child("valueFrom", "configMapKeyRef"))
	}
	if ref := env.ValueFrom.SecretKeyRef; ref != nil {
		validateKey(ref.Name, ref.Key, object.Secrets, at.Child("valueFrom", "secretKeyRef"))
	}
	return errs
}

func validateEphemeralContainers(spec *corev1.PodSpec, mounted volumes, at *field.Path) field.ErrorList {
	others, names := map[string]bool{}, map[string]bool{}
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		others[c.Name], names[c.Name] = true, true
	}
	var errs field.ErrorList
	for i, c := range spec.EphemeralContainers {
		at := at.Index(i)
		errs = append(errs, validateContainer(corev1.Container(c.EphemeralContainerCommon), mounted, at)...)
		errs = append(errs, unique(names, c.Name, at)...)
		if c.TargetContainerName != "" && !others[c.TargetContainerName] {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), c.TargetContainerName))
		}
		for j, m := range c.VolumeMounts {
			at := at.Child("volumeMounts").Index(j)
			if m.SubPath != "" {
				errs = append(errs, field.Forbidden(at.Child("subPath"), "cannot be set for an Ephemeral Container"))
			}
			if m.SubPathExpr != "" {
				errs = append(errs, field.Forbidden(at.Child("subPathExpr"), "cannot be set for an Ephemeral Container"))
			}
		}
	}
	return errs
}

// validateEphemeralContainersUpdate holds those still that are there already.
func validateEphemeralContainersUpdate(pod, before *corev1.Pod) field.ErrorList {
	at := field.NewPath("spec", "ephemeralContainers")
	mounted, _ := validateVolumes(&pod.Spec, field.NewPath("spec", "volumes"))
	errs := validateEphemeralContainers(&pod.Spec, mounted, at)
	now := map[string]corev1.EphemeralContainer{}
	for _, c := range pod.Spec.EphemeralContainers {
		now[c.Name] = c
	}
	for _, was := range before.Spec.EphemeralContainers {
		switch c, ok := now[was.Name]; {
		case !ok:
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !equality.Semantic.DeepEqual(c, was):
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be changed\n", was.Name)))
		}
	}
	return errs
}
