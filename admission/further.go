package admission

import (
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A FurtherVolume is a volume with a token for another audience than the API server's, as
// the webhooks of cloud providers add for their workload identity. Pods get it whether or
// not they opt out of the token for the API server; mirror pods never do.
type FurtherVolume struct {
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
	// container that has something mounted there gets no mount.
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

// Defaults and limits of further volumes.
const (
	defaultFurtherLifetime = time.Hour
	defaultFurtherFile     = corev1.ServiceAccountTokenKey
	maxFurtherVolumes      = 32
)

// checkFurther adds the mistakes of the further volumes.
func (c *Config) checkFurther(mistakes *configerror.List) {
	if len(c.FurtherVolumes) > maxFurtherVolumes {
		mistakes.Add("FurtherVolumes", "has %d volumes, want at most %d", len(c.FurtherVolumes), maxFurtherVolumes)
	}
	names, paths := map[string]bool{}, map[string]bool{}
	mountPath := c.rules().mountPath
	for i := range c.FurtherVolumes {
		f := &c.FurtherVolumes[i]
		field := func(name string) string { return fmt.Sprintf("FurtherVolumes[%d].%s", i, name) }
		if msgs := validation.IsDNS1123Label(f.Name); len(msgs) > 0 {
			mistakes.Add(field("Name"), "is %q, want the name of a volume: %s", f.Name, strings.Join(msgs, "; "))
		} else if names[f.Name] || strings.HasPrefix(f.Name, VolumePrefix) {
			mistakes.Add(field("Name"), "is %q, which another volume has, or may have", f.Name)
		}
		if f.Audience == "" {
			mistakes.Add(field("Audience"), "is empty, want the audience of another service than the API server")
		}
		if !isMountPath(f.MountPath) {
			mistakes.Add(field("MountPath"), "is %q, want an absolute, clean path other than /, without colons", f.MountPath)
		} else if paths[f.MountPath] || f.MountPath == mountPath {
			mistakes.Add(field("MountPath"), "is %q, where another volume is mounted", f.MountPath)
		}
		names[f.Name], paths[f.MountPath] = true, true
		if p := f.File; p != "" && (path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..")) {
			mistakes.Add(field("File"), "is %q, want a relative, clean path", p)
		}
		f.checkLifetimes(mistakes, field)
		if f.Mode != nil && (*f.Mode < 0 || *f.Mode > 0o777) {
			mistakes.Add(field("Mode"), "is %#o, want 0 to 0777", *f.Mode)
		}
		for j := range f.Sources {
			if s := &f.Sources[j]; s.Secret != nil || s.ServiceAccountToken != nil || s.PodCertificate != nil {
				mistakes.Add(field(fmt.Sprintf("Sources[%d]", j)), "has a secret of its own, want a ConfigMap, fields of the pod or a ClusterTrustBundle")
			}
		}
		for j := range f.Env {
			if msgs := validation.IsEnvVarName(f.Env[j].Name); len(msgs) > 0 {
				mistakes.Add(field(fmt.Sprintf("Env[%d].Name", j)), "is %q, want the name of a variable: %s", f.Env[j].Name, strings.Join(msgs, "; "))
			}
		}
	}
}

func (f *FurtherVolume) checkLifetimes(mistakes *configerror.List, field func(string) string) {
	for _, l := range []struct {
		name  string
		value time.Duration
	}{{"Lifetime", f.Lifetime}, {"MinLifetime", f.MinLifetime}, {"MaxLifetime", f.MaxLifetime}} {
		if l.value != 0 && (l.value < minTokenLifetime || l.value > maxTokenLifetime || l.value%time.Second != 0) {
			mistakes.Add(field(l.name), "is %v, want whole seconds from %v to 2^32 s", l.value, minTokenLifetime)
		}
	}
	if minimum, maximum := f.lifetimes(); minimum > maximum || !f.ClampLifetime && (f.lifetime() < minimum || f.lifetime() > maximum) {
		mistakes.Add(field("Lifetime"), "is %v, want from MinLifetime to MaxLifetime", f.lifetime())
	}
}

func (f *FurtherVolume) lifetime() time.Duration {
	if f.Lifetime == 0 {
		return defaultFurtherLifetime
	}
	return f.Lifetime
}

// lifetimes returns the shortest and the longest lifetime.
func (f *FurtherVolume) lifetimes() (minimum, maximum time.Duration) {
	minimum, maximum = minTokenLifetime, min(maxTokenLifetime, math.MaxInt64)
	if f.MinLifetime != 0 {
		minimum = f.MinLifetime
	}
	if f.MaxLifetime != 0 {
		maximum = f.MaxLifetime
	}
	return minimum, maximum
}

func (f *FurtherVolume) file() string {
	if f.File == "" {
		return defaultFurtherFile
	}
	return f.File
}

func isMountPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && !strings.Contains(p, ":")
}

// clone returns a copy that shares nothing with f.
func (f *FurtherVolume) clone() FurtherVolume {
	c := *f
	c.Sources = make([]corev1.VolumeProjection, len(f.Sources))
	for i := range f.Sources {
		f.Sources[i].DeepCopyInto(&c.Sources[i])
	}
	c.Env = append([]EnvVar(nil), f.Env...)
	if f.Mode != nil {
		mode := *f.Mode
		c.Mode = &mode
	}
	return c
}

// podKeys returns the keys of annotations and labels of pods that f depends on.
func (f *FurtherVolume) podKeys() (annotations, labels []string) {
	add := func(list *[]string, key string) {
		if key, _, _ = strings.Cut(key, "="); key != "" {
			*list = append(*list, key)
		}
	}
	for _, key := range []string{f.When.PodAnnotation, f.InsecurePodAudience, f.PodLifetime, f.SkipContainers} {
		add(&annotations, key)
	}
	for i := range f.Env {
		add(&annotations, f.Env[i].PodAnnotation)
	}
	add(&labels, f.When.PodLabel)
	return annotations, labels
}
