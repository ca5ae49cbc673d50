package admission

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/admission/internal/podrules"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A ServiceAccountGetter reads ServiceAccounts by name.
type ServiceAccountGetter interface {
	// GetServiceAccount returns the account, or a NotFound error of
	// k8s.io/apimachinery if there is none. Any other error means that it could
	// not tell. The account is only read, and may be shared. It must be safe for
	// concurrent use.
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// A SecretGetter reads Secrets by name.
type SecretGetter interface {
	// GetSecret returns the Secret, or a NotFound error of k8s.io/apimachinery
	// if there is none. Any other error means that it could not tell. The
	// Secret is only read, and may be shared. It must be safe for concurrent
	// use.
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// TokenVolume says where the tokens of pods come from.
type TokenVolume int

const (
	// Projected is a volume that asks the kubelet for a token bound to the pod,
	// as Kubernetes has done since v1.22.
	Projected TokenVolume = iota
	// SecretBacked is a volume of a token Secret that the account lists, as
	// Kubernetes did by default up to v1.20.
	SecretBacked
)

// String returns the name of v.
func (v TokenVolume) String() string {
	switch v {
	case Projected:
		return "Projected"
	case SecretBacked:
		return "SecretBacked"
	}
	return fmt.Sprintf("TokenVolume(%d)", int(v))
}

// The defaults of [Config], which are those of Kubernetes.
const (
	DefaultAccount       = "default"
	DefaultMountPath     = "/var/run/secrets/kubernetes.io/serviceaccount"
	DefaultRootCA        = "kube-root-ca.crt"
	DefaultTokenLifetime = 3607 * time.Second

	// VolumePrefix is how the names of projected token volumes begin.
	VolumePrefix = "kube-api-access-"
	// EnforceAnnotation is the annotation of a ServiceAccount that limits the
	// Secrets its pods may refer to, if its value is true.
	EnforceAnnotation = "kubernetes.io/enforce-mountable-secrets"
)

const (
	defaultWaitTimeout = 2 * time.Second
	maxFurtherVolumes  = 32
)

// Config configures [New], and the decisions of [Mutate] and [Check]. The zero
// value of every optional field is what Kubernetes does.
type Config struct {
	// ServiceAccounts is where accounts are looked up first. Required. It may be
	// a cache, if Live is set too.
	ServiceAccounts ServiceAccountGetter
	// Live is read after a NotFound of ServiceAccounts, whose cache may be stale.
	// Nil means that ServiceAccounts reads live.
	Live ServiceAccountGetter

	// Wait, if set, replaces polling while the default account of a new namespace
	// does not exist yet: it returns nil once the account may exist, or an error
	// when ctx ends or waiting is pointless. It is called at most nine times a
	// request.
	Wait func(ctx context.Context, namespace, name string) error
	// WaitTimeout bounds that wait, in addition to the context of the request.
	// Zero means 2 s.
	WaitTimeout time.Duration
	// DisableWait denies a pod at once if its default account does not exist.
	DisableWait bool

	// TokenVolume says where tokens come from.
	TokenVolume TokenVolume
	// Secrets is where the Secrets that an account lists are looked up. Required
	// for SecretBacked, unused otherwise. A cache will do.
	Secrets SecretGetter
	// AllowMissingToken admits, without a mount, the pods of accounts that have
	// no token Secret yet. By default they are denied, retryably. Only for
	// SecretBacked.
	AllowMissingToken bool

	// LimitSecretReferences makes every account limit its pods to the Secrets it
	// lists, not only those with [EnforceAnnotation].
	LimitSecretReferences bool
	// DisableTokenMount never mounts a token, whatever pods and accounts say.
	DisableTokenMount bool
	// Strict closes gaps of Kubernetes. Limits cover every reference to a Secret
	// in a pod, also those of projected, CSI and other volumes and of ephemeral
	// containers. A volume with the name of a token volume must be what this
	// Config asks for. Mount paths are compared after cleaning.
	Strict bool

	// DefaultAccount is the account of pods that name none. Empty means
	// "default".
	DefaultAccount string
	// MountPath is where containers find the token: an absolute, clean path.
	// Empty means [DefaultMountPath].
	MountPath string
	// RootCAConfigMap is the ConfigMap whose key ca.crt is projected beside the
	// token. Empty means [DefaultRootCA].
	RootCAConfigMap string
	// RootCASigner, if set, is projected instead of the RootCAConfigMap: ca.crt has the
	// CAs of all ClusterTrustBundles of this signer, usually that of
	// rootca.TrustBundles. It takes nodes of Kubernetes 1.37, and pods
	// start only once there is such a bundle.
	RootCASigner string
	// TokenLifetime is how long a projected token lives: whole seconds, from ten
	// minutes to 2³² s. Zero means [DefaultTokenLifetime].
	TokenLifetime time.Duration
	// Audience is the audience of projected tokens. Empty means the API server.
	//
	// A pod can get tokens for several audiences, from one Plugin each that has its
	// own MountPath: a volume that projects a token for another audience is never
	// mounted. If Audience, MountPath, RootCAConfigMap, RootCASigner or TokenLifetime is not
	// what Kubernetes has, a volume of the pod is only mounted if it projects exactly
	// what is asked for. Otherwise its name is enough, as in Kubernetes.
	Audience string

	// OptOutAnnotation is the key of a pod annotation that lists, separated by
	// commas, the names of containers that get no mount. Empty means that there
	// is no such annotation.
	OptOutAnnotation string

	// FurtherVolumes are volumes with tokens for other audiences, in this order. They
	// depend on the account that is looked up anyway, not on TokenVolume or
	// DisableTokenMount.
	FurtherVolumes []furthervolume.Volume

	// NewName returns base, which ends in a dash, and a suffix: the name of a
	// new volume. Nil means five random characters, as in Kubernetes. A constant
	// suffix makes decisions deterministic. It must be safe for concurrent use.
	NewName func(base string) string
}

// A ConfigError is one mistake in a [Config]: a required field that is not set, or
// a field whose value can't be right.
type ConfigError = configerror.Error

// validate returns an error naming every invalid field of c, each as a [*ConfigError].
func (c *Config) validate() error {
	mistakes := configerror.List{Config: "admission.Config"}
	mistakes.Require("ServiceAccounts", c.ServiceAccounts, "what looks up ServiceAccounts")
	mistakes.Optional("Live", c.Live)
	configerror.NotNegative(&mistakes, "WaitTimeout", c.WaitTimeout)
	if c.TokenVolume != Projected && c.TokenVolume != SecretBacked {
		mistakes.Add("TokenVolume", "is %v, want Projected or SecretBacked", c.TokenVolume)
	}
	if c.TokenVolume == SecretBacked {
		mistakes.Require("Secrets", c.Secrets, "what looks up Secrets, for SecretBacked")
	} else {
		mistakes.Optional("Secrets", c.Secrets)
	}
	for _, n := range []struct{ field, name string }{{"DefaultAccount", c.DefaultAccount}, {"RootCAConfigMap", c.RootCAConfigMap}} {
		if msgs := validation.IsDNS1123Subdomain(n.name); n.name != "" && len(msgs) > 0 {
			mistakes.Add(n.field, "is %q, want a valid name: %s", n.name, strings.Join(msgs, "; "))
		}
	}
	if p := c.MountPath; p != "" && !podrules.IsMountPath(p) {
		mistakes.Add("MountPath", "is %q, want an absolute, clean path other than /, without colons", p)
	}
	if d := c.TokenLifetime; d != 0 && !podrules.IsLifetime(d) {
		mistakes.Add("TokenLifetime", "is %v, want whole seconds from %v to 2^32 s", d, podrules.MinLifetime)
	}
	if key := c.OptOutAnnotation; key != "" {
		if msgs := validation.IsQualifiedName(strings.ToLower(key)); len(msgs) > 0 {
			mistakes.Add("OptOutAnnotation", "is %q, want the key of an annotation: %s", key, strings.Join(msgs, "; "))
		}
	}
	if c.RootCASigner != "" && !isSigner(c.RootCASigner) {
		mistakes.Add("RootCASigner", "is %q, want a domain and a name, such as kubernetes.io/kube-apiserver-serving", c.RootCASigner)
	}
	if c.RootCASigner != "" && (c.RootCAConfigMap != "" || c.TokenVolume == SecretBacked) {
		mistakes.Add("RootCASigner", "is set, which RootCAConfigMap or SecretBacked contradicts")
	}
	c.checkFurther(&mistakes)
	return mistakes.Err()
}

// checkFurther adds the mistakes of the further volumes.
func (c *Config) checkFurther(mistakes *configerror.List) {
	if len(c.FurtherVolumes) > maxFurtherVolumes {
		mistakes.Add("FurtherVolumes", "has %d volumes, want at most %d", len(c.FurtherVolumes), maxFurtherVolumes)
	}
	names, paths := map[string]bool{}, []string{c.rules().MountPath}
	for i := range c.FurtherVolumes {
		v, field := &c.FurtherVolumes[i], fmt.Sprintf("FurtherVolumes[%d]", i)
		mistakes.Within(field, v.Validate())
		if names[v.Name] || strings.HasPrefix(v.Name, VolumePrefix) {
			mistakes.Add(field+".Name", "is %q, which another volume has, or may have", v.Name)
		}
		for _, p := range paths {
			if strings.HasPrefix(v.MountPath+"/", p+"/") || strings.HasPrefix(p+"/", v.MountPath+"/") {
				mistakes.Add(field+".MountPath", "is %q, but another volume is mounted at %q", v.MountPath, p)
			}
		}
		names[v.Name], paths = true, append(paths, v.MountPath)
	}
}

// isSigner reports whether name is "<domain>/<name>", as those of signers are.
func isSigner(name string) bool {
	domain, rest, _ := strings.Cut(name, "/")
	return strings.Contains(domain, ".") && len(validation.IsDNS1123Subdomain(domain)) == 0 && len(validation.IsDNS1123Subdomain(rest)) == 0
}

// rules are a Config with its defaults filled in.
type rules struct {
	Config
	exact    bool      // a volume's name is not enough
	lifetime int64     // TokenLifetime in seconds
	json     fragments // set by New
}

func (c *Config) rules() rules {
	r := rules{Config: *c}
	if r.WaitTimeout == 0 {
		r.WaitTimeout = defaultWaitTimeout
	}
	if r.Wait == nil {
		r.Wait = poll
	}
	if r.DefaultAccount == "" {
		r.DefaultAccount = DefaultAccount
	}
	if r.RootCAConfigMap == "" {
		r.RootCAConfigMap = DefaultRootCA
	}
	if r.MountPath == "" {
		r.MountPath = DefaultMountPath
	}
	if r.TokenLifetime == 0 {
		r.TokenLifetime = DefaultTokenLifetime
	}
	if r.NewName == nil {
		r.NewName = randomName
	}
	r.lifetime = int64(r.TokenLifetime / time.Second)
	r.FurtherVolumes = make([]furthervolume.Volume, len(c.FurtherVolumes))
	for i := range r.FurtherVolumes {
		r.FurtherVolumes[i] = c.FurtherVolumes[i].Clone()
	}
	r.exact = r.Strict || r.Audience != "" || r.MountPath != DefaultMountPath || r.RootCAConfigMap != DefaultRootCA || r.RootCASigner != "" || r.TokenLifetime != DefaultTokenLifetime
	return r
}
