package admissionconfig

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
)

// A FurtherVolume is a [furthervolume.Volume] in a file.
type FurtherVolume struct {
	Name string    `json:"name"`
	When Condition `json:"when,omitzero"`

	Audience            string `json:"audience"`
	AccountAudience     string `json:"accountAudience,omitempty"`
	InsecurePodAudience string `json:"insecurePodAudience,omitempty"`

	Lifetime              metav1.Duration `json:"lifetime,omitzero"`
	PodLifetime           string          `json:"podLifetime,omitempty"`
	AccountLifetime       string          `json:"accountLifetime,omitempty"`
	MinLifetime           metav1.Duration `json:"minLifetime,omitzero"`
	MaxLifetime           metav1.Duration `json:"maxLifetime,omitzero"`
	ClampLifetime         bool            `json:"clampLifetime,omitempty"`
	IgnoreInvalidLifetime bool            `json:"ignoreInvalidLifetime,omitempty"`

	MountPath string                    `json:"mountPath"`
	File      string                    `json:"file,omitempty"`
	Mode      *int32                    `json:"mode,omitempty"`
	Sources   []corev1.VolumeProjection `json:"sources,omitempty"`

	Env            []EnvVar `json:"env,omitempty"`
	SkipContainers string   `json:"skipContainers,omitempty"`
	SkipSeparator  string   `json:"skipSeparator,omitempty"`
}

// A Condition is a [furthervolume.Condition] in a file.
type Condition struct {
	AccountAnnotation string `json:"accountAnnotation,omitempty"`
	AccountLabel      string `json:"accountLabel,omitempty"`
	PodAnnotation     string `json:"podAnnotation,omitempty"`
	PodLabel          string `json:"podLabel,omitempty"`
}

// An EnvVar is an [furthervolume.EnvVar] in a file.
type EnvVar struct {
	Name              string `json:"name"`
	PodAnnotation     string `json:"podAnnotation,omitempty"`
	AccountAnnotation string `json:"accountAnnotation,omitempty"`
	TokenFile         bool   `json:"tokenFile,omitempty"`
	Value             string `json:"value,omitempty"`
	Group             string `json:"group,omitempty"`
}

func (f *FurtherVolume) clone() FurtherVolume {
	other := *f
	if f.Mode != nil {
		other.Mode = new(*f.Mode)
	}
	other.Sources = cloneSources(f.Sources)
	other.Env = append([]EnvVar(nil), f.Env...)
	return other
}

func cloneSources(sources []corev1.VolumeProjection) []corev1.VolumeProjection {
	if sources == nil {
		return nil
	}
	clones := make([]corev1.VolumeProjection, len(sources))
	for i := range sources {
		sources[i].DeepCopyInto(&clones[i])
	}
	return clones
}

// volume returns f as a part of a Config, with which it shares its Sources and Mode.
func (f *FurtherVolume) volume() furthervolume.Volume {
	v := furthervolume.Volume{
		Name:     f.Name,
		When:     furthervolume.Condition(f.When),
		Audience: f.Audience, AccountAudience: f.AccountAudience, InsecurePodAudience: f.InsecurePodAudience,
		Lifetime: f.Lifetime.Duration, PodLifetime: f.PodLifetime, AccountLifetime: f.AccountLifetime,
		MinLifetime: f.MinLifetime.Duration, MaxLifetime: f.MaxLifetime.Duration,
		ClampLifetime: f.ClampLifetime, IgnoreInvalidLifetime: f.IgnoreInvalidLifetime,
		MountPath: f.MountPath, File: f.File, Mode: f.Mode, Sources: f.Sources,
		SkipContainers: f.SkipContainers, SkipSeparator: f.SkipSeparator,
	}
	for _, e := range f.Env {
		v.Env = append(v.Env, furthervolume.EnvVar(e))
	}
	return v
}
