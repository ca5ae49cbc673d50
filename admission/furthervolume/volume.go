package furthervolume

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission/internal/podrules"
)

// A Volume is a volume with a token for another audience than the API server's, as
// the webhooks of cloud providers add for their workload identity. Pods get it whether or
// not they opt out of the token for the API server; mirror pods never do.
type Volume struct {
	// Name is that of the volume. Required. A pod that has another volume of that name
	// is denied, because it would send a token to the wrong place; one that projects the
	// same audience as the same file is used.
	Name string

	// When says which pods get the volume. The zero value means all.
	When Condition

	// Audience is the audience of the token. Required. AccountAudience is an annotation of
	// the account that overrides it. InsecurePodAudience is one of the pod, which
	// overrides both: whoever may create pods may then get tokens of the pod's account
	// for any audience.
	Audience            string
	AccountAudience     string
	InsecurePodAudience string

	// Lifetime is that of the token, in whole seconds. Zero means an hour. PodLifetime
	// and AccountLifetime are annotations with a number of seconds: the pod's overrides
	// the account's, which overrides Lifetime. Zero MinLifetime and MaxLifetime mean what
	// Kubernetes allows: ten minutes, and 2³² s.
	Lifetime                 time.Duration
	PodLifetime              string
	AccountLifetime          string
	MinLifetime, MaxLifetime time.Duration

	// ClampLifetime takes the nearest lifetime that is allowed instead of denying the pod.
	// IgnoreInvalidLifetime ignores an annotation that is no number instead of denying
	// the pod.
	ClampLifetime         bool
	IgnoreInvalidLifetime bool

	// MountPath is where containers find the volume: an absolute, clean path. Required. A
	// container that has something mounted there gets no mount. If that is the volume, by
	// its name, the pod gets the volume.
	MountPath string
	// File is the token's path in the volume. Empty means "token".
	File string
	// Mode is the mode of the files. Nil leaves it to the API server, which takes 0644.
	Mode *int32
	// Sources are projected beside the token: ConfigMaps, fields of the pod and
	// ClusterTrustBundles.
	Sources []corev1.VolumeProjection

	// Env are environment variables that tell clients about the token.
	Env []EnvVar

	// SkipContainers is an annotation of the pod that lists, separated by SkipSeparator,
	// which is a comma if it is empty, the names of containers that get neither the mount
	// nor the variables.
	SkipContainers string
	SkipSeparator  string
}

// A Condition is about a pod and its account. Each field is a key, or a key and a value
// as "key=value". All that are set must hold: the key must be there, with that value, or
// else with one that isn't empty.
type Condition struct {
	AccountAnnotation, AccountLabel string
	PodAnnotation, PodLabel         string
}

// An EnvVar is an environment variable. Its value is the first that isn't empty: of the
// annotation of the pod, of that of the account, the path of the token if TokenFile is
// set, or Value. If all are empty, the variable isn't set. A container that has it already
// keeps its own.
type EnvVar struct {
	Name                             string
	PodAnnotation, AccountAnnotation string
	TokenFile                        bool
	Value                            string

	// Group names variables that belong together: a container that has one of them gets
	// none.
	Group string
}

func (v *Volume) lifetime() time.Duration {
	if v.Lifetime == 0 {
		return time.Hour
	}
	return v.Lifetime
}

// lifetimes returns the shortest and the longest lifetime.
func (v *Volume) lifetimes() (minimum, maximum time.Duration) {
	minimum, maximum = podrules.MinLifetime, podrules.MaxLifetime
	if v.MinLifetime != 0 {
		minimum = v.MinLifetime
	}
	if v.MaxLifetime != 0 {
		maximum = v.MaxLifetime
	}
	return minimum, maximum
}

func (v *Volume) file() string { return first(v.File, corev1.ServiceAccountTokenKey) }

// Clone returns a copy that shares nothing with v.
func (v *Volume) Clone() Volume {
	c := *v
	c.Sources = make([]corev1.VolumeProjection, len(v.Sources))
	for i := range v.Sources {
		v.Sources[i].DeepCopyInto(&c.Sources[i])
	}
	c.Env = slices.Clone(v.Env)
	if v.Mode != nil {
		c.Mode = new(*v.Mode)
	}
	return c
}

// PodKeys returns the keys of the annotations and labels of pods that decisions depend
// on.
func (v *Volume) PodKeys() (annotations, labels []string) {
	add := func(list *[]string, key string) {
		if key, _, _ = strings.Cut(key, "="); key != "" {
			*list = append(*list, key)
		}
	}
	for _, key := range []string{v.When.PodAnnotation, v.InsecurePodAudience, v.PodLifetime, v.SkipContainers} {
		add(&annotations, key)
	}
	for i := range v.Env {
		add(&annotations, v.Env[i].PodAnnotation)
	}
	add(&labels, v.When.PodLabel)
	return annotations, labels
}
