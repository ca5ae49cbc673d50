package furthervolume

import (
	"fmt"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A ConfigError is one mistake in a [Volume].
type ConfigError = configerror.Error

// Validate returns an error naming every invalid field, each as a [*ConfigError].
func (v *Volume) Validate() error {
	mistakes := configerror.List{Config: "furthervolume.Volume"}
	if msgs := validation.IsDNS1123Label(v.Name); len(msgs) > 0 {
		mistakes.Add("Name", "is %q, want the name of a volume: %s", v.Name, strings.Join(msgs, "; "))
	}
	if v.Audience == "" {
		mistakes.Add("Audience", "is empty, want the audience of another service than the API server")
	}
	if !podrules.IsMountPath(v.MountPath) {
		mistakes.Add("MountPath", "is %q, want an absolute, clean path other than /, without colons", v.MountPath)
	}
	if p := v.File; p != "" && (path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..")) {
		mistakes.Add("File", "is %q, want a relative, clean path", p)
	}
	for _, l := range []struct {
		name  string
		value time.Duration
	}{{"Lifetime", v.Lifetime}, {"MinLifetime", v.MinLifetime}, {"MaxLifetime", v.MaxLifetime}} {
		if l.value != 0 && !podrules.IsLifetime(l.value) {
			mistakes.Add(l.name, "is %v, want whole seconds from %v to 2^32 s", l.value, podrules.MinLifetime)
		}
	}
	if minimum, maximum := v.lifetimes(); minimum > maximum || !v.ClampLifetime && (v.lifetime() < minimum || v.lifetime() > maximum) {
		mistakes.Add("Lifetime", "is %v, want from MinLifetime to MaxLifetime", v.lifetime())
	}
	if v.Mode != nil && (*v.Mode < 0 || *v.Mode > 0o777) {
		mistakes.Add("Mode", "is %#o, want 0 to 0777", *v.Mode)
	}
	for i := range v.Sources {
		if s := &v.Sources[i]; s.Secret != nil || s.ServiceAccountToken != nil || s.PodCertificate != nil {
			mistakes.Add(fmt.Sprintf("Sources[%d]", i), "has a secret of its own, want a ConfigMap, fields of the pod or a ClusterTrustBundle")
		}
	}
	for _, k := range []struct{ field, key string }{
		{"When.AccountAnnotation", keyOf(v.When.AccountAnnotation)}, {"When.AccountLabel", keyOf(v.When.AccountLabel)},
		{"When.PodAnnotation", keyOf(v.When.PodAnnotation)}, {"When.PodLabel", keyOf(v.When.PodLabel)},
		{"AccountAudience", v.AccountAudience}, {"InsecurePodAudience", v.InsecurePodAudience},
		{"AccountLifetime", v.AccountLifetime}, {"PodLifetime", v.PodLifetime}, {"SkipContainers", v.SkipContainers},
	} {
		checkKey(&mistakes, k.field, k.key)
	}
	for i := range v.Env {
		e, field := &v.Env[i], fmt.Sprintf("Env[%d].", i)
		if msgs := validation.IsEnvVarName(e.Name); len(msgs) > 0 {
			mistakes.Add(field+"Name", "is %q, want the name of a variable: %s", e.Name, strings.Join(msgs, "; "))
		}
		checkKey(&mistakes, field+"PodAnnotation", e.PodAnnotation)
		checkKey(&mistakes, field+"AccountAnnotation", e.AccountAnnotation)
	}
	return mistakes.Err()
}

// keyOf returns the key of a part of a Condition.
func keyOf(want string) string {
	if key, _, _ := strings.Cut(want, "="); key != "" {
		return key
	}
	return want
}

// checkKey adds a mistake if no annotation or label can have the key: it would never be
// found.
func checkKey(mistakes *configerror.List, field, key string) {
	if msgs := validation.IsQualifiedName(strings.ToLower(key)); key != "" && len(msgs) > 0 {
		mistakes.Add(field, "is %q, want the key of an annotation or a label: %s", key, strings.Join(msgs, "; "))
	}
}
