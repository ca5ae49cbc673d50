package admission

import (
	"math/rand/v2"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// existingVolume returns the name of the volume that already has the token, or "".
func (r *rules) existingVolume(volumes []corev1.Volume, token string) string {
	for i := range volumes {
		v := &volumes[i]
		if r.tokenVolume == SecretBacked {
			if v.Secret != nil && v.Secret.SecretName == token {
				return v.Name
			}
			continue
		}
		if strings.HasPrefix(v.Name, VolumePrefix) && (!r.strict || projectsToken(v)) {
			return v.Name
		}
	}
	return ""
}

// tokenFile is where containers look for the token in the volume.
const tokenFile = corev1.ServiceAccountTokenKey

func projectsToken(v *corev1.Volume) bool {
	if v.Projected == nil {
		return false
	}
	for i := range v.Projected.Sources {
		if t := v.Projected.Sources[i].ServiceAccountToken; t != nil && t.Path == tokenFile {
			return true
		}
	}
	return false
}

// newVolumeName returns a name that none of volumes has.
func (r *rules) newVolumeName(volumes []corev1.Volume, token string) string {
	base := VolumePrefix
	if r.tokenVolume == SecretBacked {
		name := strings.ReplaceAll(token, ".", "-")
		if !hasVolume(volumes, name) {
			return name
		}
		base = name + "-"
	}
	name := r.newName(base)
	for n := 2; hasVolume(volumes, name); n++ {
		name = base + strconv.Itoa(n)
	}
	return name
}

func hasVolume(volumes []corev1.Volume, name string) bool {
	for i := range volumes {
		if volumes[i].Name == name {
			return true
		}
	}
	return false
}

func randomName(base string) string { return tokensecret.GeneratedName(base, rand.Uint64()) }

// mount returns the mount that containers get. Nothing else is set (ADM-37).
func (r *rules) mount(volume string) corev1.VolumeMount {
	return corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: r.mountPath}
}

// volume returns the token volume called name. It sets what the defaulting of the v1
// API would, so that it stays as it is (ADM-43).
func (r *rules) volume(name, token string) corev1.Volume {
	if r.tokenVolume == SecretBacked {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: token},
		}}
	}
	// One allocation holds all of it.
	v := &projectedVolume{
		mode:     corev1.ProjectedVolumeSourceDefaultMode,
		lifetime: r.lifetime,
		token:    corev1.ServiceAccountTokenProjection{Audience: r.audience, Path: tokenFile},
		caItems:  [1]corev1.KeyToPath{{Key: corev1.ServiceAccountRootCAKey, Path: corev1.ServiceAccountRootCAKey}},
		field:    corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
	}
	v.token.ExpirationSeconds = &v.lifetime
	v.ca = corev1.ConfigMapProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: r.rootCA},
		Items:                v.caItems[:],
	}
	v.apiItems = [1]corev1.DownwardAPIVolumeFile{{Path: corev1.ServiceAccountNamespaceKey, FieldRef: &v.field}}
	v.api.Items = v.apiItems[:]
	v.sources = [3]corev1.VolumeProjection{{ServiceAccountToken: &v.token}, {ConfigMap: &v.ca}, {DownwardAPI: &v.api}}
	v.projected = corev1.ProjectedVolumeSource{Sources: v.sources[:], DefaultMode: &v.mode}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &v.projected}}
}

type projectedVolume struct {
	projected corev1.ProjectedVolumeSource
	mode      int32
	lifetime  int64
	sources   [3]corev1.VolumeProjection
	token     corev1.ServiceAccountTokenProjection
	ca        corev1.ConfigMapProjection
	caItems   [1]corev1.KeyToPath
	api       corev1.DownwardAPIProjection
	apiItems  [1]corev1.DownwardAPIVolumeFile
	field     corev1.ObjectFieldSelector
}
