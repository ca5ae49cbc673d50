package apirules

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes are those of a pod that are valid: only they can be mounted.
type volumes map[string]corev1.VolumeSource

// validateVolumes validates the names of a pod's volumes, and what Secrets,
// ConfigMaps and tokens they hold.
func validateVolumes(spec *corev1.PodSpec, at *field.Path) (volumes, field.ErrorList) {
	valid := volumes{}
	var all field.ErrorList
	for i, v := range spec.Volumes {
		errs := validateVolumeSource(v.VolumeSource, at.Index(i))
		name := at.Index(i).Child("name")
		if v.Name == "" {
			errs = append(errs, field.Required(name, ""))
		}
		errs = append(errs, validateLabelName(v.Name, name)...)
		if _, ok := valid[v.Name]; ok {
			errs = append(errs, field.Duplicate(name, v.Name))
		}
		if len(errs) == 0 {
			valid[v.Name] = v.VolumeSource
		}
		all = append(all, errs...)
	}
	return valid, all
}

// validateLabelName says nothing about an empty name.
func validateLabelName(name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name != "" {
		for _, msg := range validation.IsDNS1123Label(name) {
			errs = append(errs, field.Invalid(at, name, msg))
		}
	}
	return errs
}

func validateVolumeSource(source corev1.VolumeSource, at *field.Path) (errs field.ErrorList) {
	types := volumeTypes(source)
	for _, name := range types[min(1, len(types)):] {
		errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 volume type"))
	}
	if len(types) == 0 {
		return nil
	}
	at = at.Child(types[0])
	switch types[0] {
	case "secret":
		errs = append(errs, required(source.Secret.SecretName, at.Child("secretName"))...)
		errs = append(errs, validateItems(source.Secret.Items, at)...)
	case "configMap":
		errs = append(errs, required(source.ConfigMap.Name, at.Child("name"))...)
		errs = append(errs, validateItems(source.ConfigMap.Items, at)...)
	case "projected":
		errs = append(errs, validateProjection(source.Projected.Sources, at)...)
	}
	return errs
}

// volumeTypes returns the names of the sources that are set.
func volumeTypes(source corev1.VolumeSource) (names []string) {
	v := reflect.ValueOf(source)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

func required(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return nil
}

func validateItems(items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Child("items").Index(i)
		errs = append(errs, required(item.Key, at.Child("key"))...)
		errs = append(errs, required(item.Path, at.Child("path"))...)
		errs = append(errs, validateOwnPath(item.Path, at.Child("path"))...)
	}
	return errs
}

// validateProjection validates the Secrets, ConfigMaps, tokens and trust bundles of a projected
// volume. Errors of a token's path are at the volume, as the API server has them.
func validateProjection(sources []corev1.VolumeProjection, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := map[string]bool{}
	project := func(name string, items []corev1.KeyToPath, source *field.Path) {
		errs = append(errs, required(name, source.Child("name"))...)
		errs = append(errs, validateItems(items, source)...)
		for _, item := range items {
			if item.Path != "" && paths[item.Path] {
				errs = append(errs, field.Invalid(at, name, "conflicting duplicate paths"))
			}
			paths[item.Path] = true
		}
	}
	for i, source := range sources {
		from := at.Child("sources").Index(i)
		if s := source.Secret; s != nil {
			project(s.Name, s.Items, from.Child("secret"))
		}
		if m := source.ConfigMap; m != nil {
			project(m.Name, m.Items, from.Child("configMap"))
		}
		if token := source.ServiceAccountToken; token != nil {
			errs = append(errs, validateTokenSource(token, at, from.Child("serviceAccountToken"))...)
		}
		if b := source.ClusterTrustBundle; b != nil {
			errs = append(errs, validateBundleSource(b, from.Child("clusterTrustBundle"))...)
			if paths[b.Path] {
				errs = append(errs, field.Invalid(at, b.Path, "conflicting duplicate paths"))
			}
			paths[b.Path] = true
		}
	}
	return errs
}

// The limits of a projected token (ADM-230).
const (
	defaultTokenSeconds = 60 * 60
	minTokenSeconds     = 10 * 60
	maxTokenSeconds     = 1 << 32
)

func validateTokenSource(source *corev1.ServiceAccountTokenProjection, volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch seconds := source.ExpirationSeconds; {
	case seconds == nil:
	case *seconds < minTokenSeconds:
		errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *seconds, "may not specify a duration less than 10 minutes"))
	case *seconds > maxTokenSeconds:
		errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	errs = append(errs, required(source.Path, volume.Child("path"))...)
	return append(errs, validateOwnPath(source.Path, volume.Child("path"))...)
}

// validateOwnPath keeps a path inside its volume, and off the names that the
// kubelet uses.
func validateOwnPath(name string, at *field.Path) field.ErrorList {
	errs := validateInnerPath(name, at)
	if strings.HasPrefix(name, "..") && !strings.HasPrefix(name, "../") {
		errs = append(errs, field.Invalid(at, name, "must not start with '..'"))
	}
	return errs
}

func validateInnerPath(name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(name) {
		errs = append(errs, field.Invalid(at, name, "must be a relative path"))
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		errs = append(errs, field.Invalid(at, name, "must not contain '..'"))
	}
	return errs
}

// validateMounts requires that mounts and devices are of volumes of the pod, each
// at a path of its own.
func (valid volumes) validateMounts(mounts []corev1.VolumeMount, devices []corev1.VolumeDevice, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	mountOf, pathOf := map[string]bool{}, map[string]bool{}
	deviceOf, deviceAt := map[string]bool{}, map[string]bool{}
	for _, d := range devices {
		deviceOf[d.Name], deviceAt[d.DevicePath] = true, true
	}
	for i, m := range mounts {
		list := at.Child("volumeMounts")
		name, where := list.Index(i).Child("name"), list.Index(i).Child("mountPath")
		errs = append(errs, valid.find(m.Name, name)...)
		errs = append(errs, required(m.MountPath, where)...)
		if pathOf[m.MountPath] {
			errs = append(errs, field.Invalid(where, m.MountPath, "must be unique"))
		}
		if deviceOf[m.Name] {
			errs = append(errs, field.Invalid(name, m.Name, "must not already exist in volumeDevices"))
		}
		if deviceAt[m.MountPath] {
			errs = append(errs, field.Invalid(where, m.MountPath, "must not already exist as a path in volumeDevices"))
		}
		errs = append(errs, validateInnerPath(m.SubPath, list.Child("subPath"))...)
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Invalid(list.Index(i).Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, validateInnerPath(m.SubPathExpr, list.Child("subPathExpr"))...)
		mountOf[m.Name], pathOf[m.MountPath] = true, true
	}
	names, paths := map[string]bool{}, map[string]bool{}
	for i, d := range devices {
		at := at.Child("volumeDevices").Index(i)
		name, where := at.Child("name"), at.Child("devicePath")
		errs = append(errs, valid.find(d.Name, name)...)
		if names[d.Name] {
			errs = append(errs, field.Invalid(name, d.Name, "must be unique"))
		}
		if source, ok := valid[d.Name]; ok && source.PersistentVolumeClaim == nil && source.Ephemeral == nil {
			errs = append(errs, field.Invalid(name, d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		}
		errs = append(errs, required(d.DevicePath, where)...)
		if paths[d.DevicePath] {
			errs = append(errs, field.Invalid(where, d.DevicePath, "must be unique"))
		}
		if slices.Contains(strings.Split(d.DevicePath, "/"), "..") {
			errs = append(errs, field.Invalid(where, d.DevicePath, "can not contain backsteps ('..')"))
		} else {
			paths[d.DevicePath] = true
		}
		if mountOf[d.Name] {
			errs = append(errs, field.Invalid(name, d.Name, "must not already exist in volumeMounts"))
		}
		if pathOf[d.DevicePath] {
			errs = append(errs, field.Invalid(where, d.DevicePath, "must not already exist as a path in volumeMounts"))
		}
		if d.Name != "" {
			names[d.Name] = true
		}
	}
	return errs
}

// find requires that the pod has a valid volume called name.
func (valid volumes) find(name string, at *field.Path) field.ErrorList {
	errs := required(name, at)
	if _, ok := valid[name]; !ok {
		errs = append(errs, field.NotFound(at, name))
	}
	return errs
}
