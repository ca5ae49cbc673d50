package admission

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
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

// What Kubernetes uses, and [Config] when it says nothing else.
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
	minTokenLifetime   = 600 * time.Second
	maxTokenLifetime   = (1 << 32) * time.Second
	defaultWaitTimeout = 2 * time.Second
)

// Config configures [New], and the decisions of [Mutate] and [Check]. The zero
// value of every optional field is what Kubernetes does.
type Config struct {
	// ServiceAccounts is where accounts are looked up first. Required. It may be
	// a cache, if Live is set too.
	ServiceAccounts ServiceAccountGetter
	// Live is asked after a NotFound of ServiceAccounts, because a cache may be
	// behind. Nil means that ServiceAccounts is live itself.
	Live ServiceAccountGetter

	// Wait, if set, replaces polling while the default account of a new namespace
	// does not exist yet: it returns nil once the account may exist, or an error
	// when ctx ends or waiting is of no use. It is called at most nine times for
	// a request.
	Wait func(ctx context.Context, namespace, name string) error
	// WaitTimeout bounds that wait, in addition to the context of the request.
	// Zero means 2 s; a negative value means not to wait at all.
	WaitTimeout time.Duration

	// TokenVolume says where tokens come from.
	TokenVolume TokenVolume
	// Secrets is where the Secrets that an account lists are looked up. Required
	// for SecretBacked, unused otherwise. A cache will do.
	Secrets SecretGetter
	// AllowMissingToken admits, without a mount, the pods of accounts that have
	// no token Secret yet. By default they are refused, with the advice to try
	// again. Only for SecretBacked.
	AllowMissingToken bool

	// LimitSecretReferences makes every account limit its pods to the Secrets it
	// lists, not only those with [EnforceAnnotation].
	LimitSecretReferences bool
	// DisableTokenMount never mounts a token, whatever pods and accounts say.
	DisableTokenMount bool
	// Strict adds what Kubernetes lacks. Limits cover every reference to a
	// Secret in a pod, also those of projected, CSI and other volumes and of
	// ephemeral containers. A volume that is only named like a token volume is
	// not taken for one. Mount paths are the same if they differ only in
	// spelling.
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
	// TokenLifetime is how long a projected token lives: whole seconds, from ten
	// minutes to 2³² s. Zero means [DefaultTokenLifetime].
	TokenLifetime time.Duration
	// Audience is whom projected tokens are meant for. Empty means the API
	// server.
	Audience string

	// OptOutAnnotation is the key of a pod annotation that lists, separated by
	// commas, the names of containers that get no mount. Empty means that there
	// is no such annotation.
	OptOutAnnotation string

	// NewName returns base, which ends in a dash, and a suffix: the name of a
	// new volume. Nil means five random characters, as in Kubernetes. A constant
	// suffix makes the results the same from run to run. It must be safe for
	// concurrent use.
	NewName func(base string) string
}

// A ConfigError says what is wrong with one field of [Config].
type ConfigError struct {
	Field   string // such as "ServiceAccounts"
	Problem string
}

func (e *ConfigError) Error() string { return "admission: Config." + e.Field + ": " + e.Problem }

// validate reports every mistake of c, each as a *ConfigError.
func (c *Config) validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{field, fmt.Sprintf(format, args...)})
	}
	if c.ServiceAccounts == nil {
		bad("ServiceAccounts", "is required: set it to what looks up ServiceAccounts")
	}
	if c.TokenVolume != Projected && c.TokenVolume != SecretBacked {
		bad("TokenVolume", "got %v, want Projected or SecretBacked", c.TokenVolume)
	}
	if c.TokenVolume == SecretBacked && c.Secrets == nil {
		bad("Secrets", "is required for SecretBacked: set it to what looks up Secrets")
	}
	for _, n := range []struct{ field, name string }{{"DefaultAccount", c.DefaultAccount}, {"RootCAConfigMap", c.RootCAConfigMap}} {
		if msgs := validation.IsDNS1123Subdomain(n.name); n.name != "" && len(msgs) > 0 {
			bad(n.field, "got %q: %s", n.name, strings.Join(msgs, "; "))
		}
	}
	if p := c.MountPath; p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.Contains(p, ":")) {
		bad("MountPath", "got %q, want an absolute, clean path other than /, without colons", p)
	}
	if d := c.TokenLifetime; d != 0 && (d < minTokenLifetime || d > maxTokenLifetime || d%time.Second != 0) {
		bad("TokenLifetime", "got %v, want whole seconds from %v to 2^32 s", d, minTokenLifetime)
	}
	if key := c.OptOutAnnotation; key != "" {
		if msgs := validation.IsQualifiedName(strings.ToLower(key)); len(msgs) > 0 {
			bad("OptOutAnnotation", "got %q: %s", key, strings.Join(msgs, "; "))
		}
	}
	return errors.Join(errs...)
}

// rules are the fields of a Config that decisions depend on, with the defaults
// filled in.
type rules struct {
	tokenVolume                                TokenVolume
	limit, disableMount, strict, tokenOptional bool
	defaultAccount, rootCA, audience, optOut   string
	mountPath                                  string
	lifetime                                   int64 // seconds
	newName                                    func(base string) string
	json                                       fragments // set by New
}

func (c *Config) rules() rules {
	r := rules{
		tokenVolume:    c.TokenVolume,
		limit:          c.LimitSecretReferences,
		disableMount:   c.DisableTokenMount,
		strict:         c.Strict,
		tokenOptional:  c.AllowMissingToken,
		defaultAccount: c.DefaultAccount,
		rootCA:         c.RootCAConfigMap,
		audience:       c.Audience,
		optOut:         c.OptOutAnnotation,
		mountPath:      c.MountPath,
		lifetime:       int64(c.TokenLifetime / time.Second),
		newName:        c.NewName,
	}
	if r.defaultAccount == "" {
		r.defaultAccount = DefaultAccount
	}
	if r.rootCA == "" {
		r.rootCA = DefaultRootCA
	}
	if r.mountPath == "" {
		r.mountPath = DefaultMountPath
	}
	if r.lifetime == 0 {
		r.lifetime = int64(DefaultTokenLifetime / time.Second)
	}
	if r.newName == nil {
		r.newName = randomName
	}
	return r
}
