package admission

import (
	"math/rand/v2"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission/internal/budget"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// maxVolumeName is how long names of volumes may be: DNS-1123 labels.
const maxVolumeName = 63

// existingVolume returns the volume that already has the token. If there is none,
// it returns the first projected one that looks alike and is not used, if any.
func (r *rules) existingVolume(b *budget.Budget, volumes []corev1.Volume, token string) (v, lookAlike *corev1.Volume, err error) {
	if err := b.Spend(len(volumes)); err != nil {
		return nil, nil, err
	}
	for i := range volumes {
		v := &volumes[i]
		if len(v.Name) > maxVolumeName { // no pod can have it, and each container would get the name
			continue
		}
		if r.TokenVolume == SecretBacked {
			if v.Secret != nil && v.Secret.SecretName == token && !(r.Strict && len(v.Secret.Items) > 0) {
				return v, nil, nil
			}
			continue
		}
		if !strings.HasPrefix(v.Name, VolumePrefix) {
			continue
		}
		if v.Projected != nil {
			if err := b.Spend(len(v.Projected.Sources)); err != nil {
				return nil, nil, err
			}
		}
		switch but := r.mismatch(v); {
		case but == asAskedFor, !r.exact && but != otherAudience:
			return v, nil, nil
		case lookAlike == nil:
			lookAlike = v
		}
	}
	return nil, lookAlike, nil
}

// tokenFile is where containers look for the token in the volume.
const tokenFile = corev1.ServiceAccountTokenKey

// mismatch says why v is not what [rules.setVolume] makes but for its name, as it is
// or as the defaulting of the v1 API leaves it; [asAskedFor] if it is.
func (r *rules) mismatch(v *corev1.Volume) why {
	p := v.Projected
	if p == nil {
		return projectsNoToken
	}
	var token *corev1.ServiceAccountTokenProjection
	for i := range p.Sources {
		if t := p.Sources[i].ServiceAccountToken; t != nil && (token == nil || token.Path != tokenFile) {
			token = t
		}
	}
	switch {
	case token == nil:
		return projectsNoToken
	case token.Path != tokenFile:
		return otherFile
	case token.Audience != r.Audience:
		return otherAudience
	case orDefault(token.ExpirationSeconds, defaultExpiration) != r.lifetime:
		return otherLifetime
	case len(p.Sources) != 3 || orDefault(p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode) != corev1.ProjectedVolumeSourceDefaultMode:
		return otherSources
	}
	api := p.Sources[2].DownwardAPI
	if p.Sources[0] != (corev1.VolumeProjection{ServiceAccountToken: token}) || !r.isRootCA(&p.Sources[1]) ||
		api == nil || p.Sources[2] != (corev1.VolumeProjection{DownwardAPI: api}) || !isNamespace(api) {
		return otherSources
	}
	return asAskedFor
}

// defaultExpiration is what the defaulting of the v1 API sets (ADM-230).
const defaultExpiration = 60 * 60

func orDefault[T any](p *T, value T) T {
	if p == nil {
		return value
	}
	return *p
}

// isRootCA reports whether p projects the root CA and nothing else.
func (r *rules) isRootCA(p *corev1.VolumeProjection) bool {
	if r.RootCASigner != "" {
		b := p.ClusterTrustBundle
		return b != nil && *p == (corev1.VolumeProjection{ClusterTrustBundle: b}) &&
			b.Name == nil && orDefault(b.SignerName, "") == r.RootCASigner && b.Path == corev1.ServiceAccountRootCAKey && !orDefault(b.Optional, false) &&
			b.LabelSelector != nil && len(b.LabelSelector.MatchLabels) == 0 && len(b.LabelSelector.MatchExpressions) == 0
	}
	ca := p.ConfigMap
	return ca != nil && *p == (corev1.VolumeProjection{ConfigMap: ca}) && ca.Name == r.RootCAConfigMap && !orDefault(ca.Optional, false) &&
		len(ca.Items) == 1 && ca.Items[0] == corev1.KeyToPath{Key: corev1.ServiceAccountRootCAKey, Path: corev1.ServiceAccountRootCAKey}
}

// isNamespace reports whether api projects the namespace of the pod and nothing
// else.
func isNamespace(api *corev1.DownwardAPIProjection) bool {
	if len(api.Items) != 1 {
		return false
	}
	item := &api.Items[0]
	return item.Path == corev1.ServiceAccountNamespaceKey && item.Mode == nil && item.ResourceFieldRef == nil &&
		item.FieldRef != nil && item.FieldRef.FieldPath == namespacePath && (item.FieldRef.APIVersion == "v1" || item.FieldRef.APIVersion == "")
}

// namespacePath is the field of a pod that the volume projects as the namespace.
const namespacePath = "metadata.namespace"

// newVolumeName returns a name that none of volumes has.
func (r *rules) newVolumeName(b *budget.Budget, volumes []corev1.Volume, token string) (string, error) {
	base := VolumePrefix
	if r.TokenVolume == SecretBacked {
		name := strings.ReplaceAll(token, ".", "-")
		if taken, err := hasVolume(b, volumes, name); !taken {
			return name, err
		}
		base = name + "-"
	}
	name := r.NewName(base)
	if taken, err := hasVolume(b, volumes, name); !taken {
		return name, err
	}
	taken := make(map[string]bool, len(volumes)) // many may be, by a client that knows the next name
	for i := range volumes {
		taken[volumes[i].Name] = true
	}
	for n := 2; taken[name]; n++ {
		if err := b.Spend(1); err != nil {
			return "", err
		}
		name = base + strconv.Itoa(n)
	}
	return name, nil
}

func hasVolume(b *budget.Budget, volumes []corev1.Volume, name string) (bool, error) {
	if err := b.Spend(len(volumes)); err != nil {
		return false, err
	}
	for i := range volumes {
		if volumes[i].Name == name {
			return true, nil
		}
	}
	return false, nil
}

func randomName(base string) string { return tokensecret.GeneratedName(base, rand.Uint64()) }

// setMount sets m to the mount that containers get. Nothing else is set (ADM-37).
func (r *rules) setMount(m *corev1.VolumeMount, volume string) {
	m.Name, m.ReadOnly, m.MountPath = volume, true, r.MountPath
}

// setVolume sets volume to the token volume called name. It sets what the defaulting of
// the v1 API would, so that it stays as it is (ADM-43).
func (r *rules) setVolume(volume *corev1.Volume, name, token string) {
	volume.Name = name
	if r.TokenVolume == SecretBacked {
		volume.Secret = &corev1.SecretVolumeSource{SecretName: token}
		return
	}
	v := new(projectedVolume) // one allocation holds all of it, and nothing is copied into it
	v.mode = corev1.ProjectedVolumeSourceDefaultMode
	v.lifetime = r.lifetime
	v.token.Audience, v.token.Path, v.token.ExpirationSeconds = r.Audience, tokenFile, &v.lifetime
	v.caItems[0].Key, v.caItems[0].Path = corev1.ServiceAccountRootCAKey, corev1.ServiceAccountRootCAKey
	v.ca.Name, v.ca.Items = r.RootCAConfigMap, v.caItems[:]
	v.field.APIVersion, v.field.FieldPath = "v1", namespacePath
	v.apiItems[0].Path, v.apiItems[0].FieldRef = corev1.ServiceAccountNamespaceKey, &v.field
	v.api.Items = v.apiItems[:]
	v.sources[0].ServiceAccountToken, v.sources[2].DownwardAPI = &v.token, &v.api
	if r.RootCASigner == "" {
		v.sources[1].ConfigMap = &v.ca
	} else {
		signer := r.RootCASigner // the pod's own
		v.sources[1].ClusterTrustBundle = &corev1.ClusterTrustBundleProjection{
			SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: corev1.ServiceAccountRootCAKey,
		}
	}
	v.projected.Sources, v.projected.DefaultMode = v.sources[:], &v.mode
	volume.Projected = &v.projected
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
