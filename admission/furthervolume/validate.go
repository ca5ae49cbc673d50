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
	for i := range v.Env {
		if msgs := validation.IsEnvVarName(v.Env[i].Name); len(msgs) > 0 {
			mistakes.Add(fmt.Sprintf("Env[%d].Name", i), "is %q, want the name of a variable: %s", v.Env[i].Name, strings.Join(msgs, "; "))
		}
	}
	return mistakes.Err()
}
