package admissionconfig

import (
	"errors"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// Version is the apiVersion of a [ServiceAccountConfiguration], and [Kind] its kind.
const (
	Version = "serviceaccount.kubesa.io/v1alpha1"
	Kind    = "ServiceAccountConfiguration"
)

// A ServiceAccountConfiguration is the configuration of the admission plugin
// ServiceAccount: a file, or a part of the one that --admission-control-config-file names. Its fields are those of [admission.Config],
// which says what they mean and what they are if they are absent.
type ServiceAccountConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	TokenVolume            string          `json:"tokenVolume,omitempty"` // Projected or SecretBacked
	AllowMissingToken      bool            `json:"allowMissingToken,omitempty"`
	LimitSecretReferences  bool            `json:"limitSecretReferences,omitempty"`
	DisableTokenMount      bool            `json:"disableTokenMount,omitempty"`
	Strict                 bool            `json:"strict,omitempty"`
	DefaultAccount         string          `json:"defaultAccount,omitempty"`
	MountPath              string          `json:"mountPath,omitempty"`
	RootCAConfigMap        string          `json:"rootCAConfigMap,omitempty"`
	RootCASigner           string          `json:"rootCASigner,omitempty"`
	TokenExpirationSeconds *int64          `json:"tokenExpirationSeconds,omitempty"` // TokenLifetime
	Audience               string          `json:"audience,omitempty"`
	OptOutAnnotation       string          `json:"optOutAnnotation,omitempty"`
	WaitTimeout            metav1.Duration `json:"waitTimeout,omitzero"`
	DisableWait            bool            `json:"disableWait,omitempty"`

	FurtherVolumes []FurtherVolume `json:"furtherVolumes,omitempty"`
}

// DeepCopyObject implements [runtime.Object].
func (c *ServiceAccountConfiguration) DeepCopyObject() runtime.Object {
	if c == nil {
		return nil
	}
	other := *c
	if c.TokenExpirationSeconds != nil {
		other.TokenExpirationSeconds = new(*c.TokenExpirationSeconds)
	}
	other.FurtherVolumes = nil
	for i := range c.FurtherVolumes {
		other.FurtherVolumes = append(other.FurtherVolumes, c.FurtherVolumes[i].clone())
	}
	return &other
}

// maxBytes bounds what is read of a file.
const maxBytes = 1 << 20

// Parse returns what file, a [ServiceAccountConfiguration] in YAML
// or JSON, says. No file, or an empty one, says nothing. Where accounts are read isn't
// set; with that, [admission.New] finds what else is wrong.
//
// Unknown fields, duplicate ones, and those that differ from the known ones in case are
// errors, as is another version.
func Parse(file io.Reader) (admission.Config, error) {
	if file == nil {
		return admission.Config{}, nil
	}
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	switch {
	case err != nil:
		return admission.Config{}, fmt.Errorf("admissionconfig: reading the configuration of ServiceAccount: %w", err)
	case len(data) > maxBytes:
		return admission.Config{}, errors.New("admissionconfig: the configuration of ServiceAccount is larger than 1 MiB")
	case len(data) == 0:
		return admission.Config{}, nil
	}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(schema.FromAPIVersionAndKind(Version, Kind), &ServiceAccountConfiguration{})
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	object, _, err := decoder.Decode(data, nil, nil)
	if err != nil {
		return admission.Config{}, fmt.Errorf("admissionconfig: the configuration of ServiceAccount: %w", err)
	}
	return object.(*ServiceAccountConfiguration).config()
}

func (c *ServiceAccountConfiguration) config() (admission.Config, error) {
	cfg := admission.Config{
		AllowMissingToken: c.AllowMissingToken, LimitSecretReferences: c.LimitSecretReferences,
		DisableTokenMount: c.DisableTokenMount, Strict: c.Strict, DefaultAccount: c.DefaultAccount, MountPath: c.MountPath,
		RootCAConfigMap: c.RootCAConfigMap, RootCASigner: c.RootCASigner, Audience: c.Audience, OptOutAnnotation: c.OptOutAnnotation,
		WaitTimeout: c.WaitTimeout.Duration, DisableWait: c.DisableWait,
	}
	for i := range c.FurtherVolumes {
		cfg.FurtherVolumes = append(cfg.FurtherVolumes, c.FurtherVolumes[i].volume())
	}
	mistakes := configerror.List{Config: "admissionconfig." + Kind}
	switch c.TokenVolume {
	case "", admission.Projected.String():
	case admission.SecretBacked.String():
		cfg.TokenVolume = admission.SecretBacked
	default:
		mistakes.Add("tokenVolume", "is %.64q, want Projected or SecretBacked", c.TokenVolume)
	}
	if seconds := c.TokenExpirationSeconds; seconds != nil {
		cfg.TokenLifetime = time.Duration(*seconds) * time.Second
		if *seconds < 600 || *seconds > 1<<32 {
			mistakes.Add("tokenExpirationSeconds", "is %d, want from 600 to 2^32", *seconds)
		}
	}
	return cfg, mistakes.Err()
}
