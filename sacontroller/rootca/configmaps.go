package rootca

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
)

// The published ConfigMap (CST-12, RCA-2).
const (
	rootCAName                  = "kube-root-ca.crt"
	rootCAKey                   = "ca.crt"
	rootCADescriptionAnnotation = "kubernetes.io/description"
	rootCADescription           = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// A ConfigMapsReader is what [ConfigMaps] decides from. The package
// documentation says what every Reader and Client promises.
type ConfigMapsReader interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// A ConfigMapsClient is what [ConfigMaps] writes through.
type ConfigMapsClient interface {
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
	UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// ConfigMapsConfig configures [NewConfigMaps].
type ConfigMapsConfig struct {
	Reader ConfigMapsReader // required; may be a cache
	Client ConfigMapsClient // required

	// RootCA is the CA bundle to publish; required. [ConfigMaps.SetRootCA]
	// changes it at run time.
	RootCA []byte

	// RootCAOf, if not nil, returns the CA bundle of the tenant of a context, which takes
	// the place of RootCA; an empty one leaves that. It must be fast and safe for
	// concurrent use. After it has changed, a driver must report the tenant's objects as
	// Added once more.
	RootCAOf func(ctx context.Context) []byte

	// Observe, if not nil, is called after each Reconcile of a Namespace, with its context.
	// It must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. It serves only to slow down when another
	// writer reverts what is written. If nil, time.Now is used.
	Now func() time.Time
}

// ConfigMaps is the controller that publishes a CA bundle in the ConfigMap
// kube-root-ca.crt of every Namespace that isn't being deleted. It is safe for
// concurrent use.
type ConfigMaps struct {
	publisher
	reader ConfigMapsReader
	client ConfigMapsClient
}

var (
	_ sacontroller.Resyncer  = (*ConfigMaps)(nil)
	_ sacontroller.Forgetter = (*ConfigMaps)(nil)
)

// NewConfigMaps returns a ConfigMaps, or an error naming every invalid field, each
// as a [*ConfigError].
func NewConfigMaps(cfg ConfigMapsConfig) (*ConfigMaps, error) {
	mistakes := configerror.List{Config: "rootca.ConfigMapsConfig"}
	mistakes.Require("Reader", cfg.Reader, "a ConfigMapsReader")
	mistakes.Require("Client", cfg.Client, "a ConfigMapsClient")
	if len(cfg.RootCA) == 0 {
		mistakes.Add("RootCA", "is empty, want a CA bundle")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &ConfigMaps{
		publisher: newPublisher(cabundle.New(cfg.RootCA, cfg.RootCAOf, cabundle.Named("rootca", cabundle.Check)), cfg.Observe, cfg.Now),
		reader:    cfg.Reader,
		client:    cfg.Client,
	}, nil
}

// Name returns "root-ca-certificate-publisher-controller".
func (c *ConfigMaps) Name() string { return "root-ca-certificate-publisher-controller" } // CST-20

// Due returns the key of a Namespace that was added, or is active and was
// modified, or whose ConfigMap kube-root-ca.crt was modified or deleted.
func (c *ConfigMaps) Due(change sacontroller.Change) []sacontroller.Key {
	switch object := change.Object.(type) { // RCA-3
	case *corev1.Namespace:
		if object != nil && object.Name != "" && (change.Type == watch.Added ||
			change.Type == watch.Modified && object.Status.Phase == corev1.NamespaceActive) {
			return []sacontroller.Key{{Tenant: change.Tenant, Kind: "Namespace", Name: object.Name}}
		}
	case *corev1.ConfigMap:
		if object != nil && object.Namespace != "" && object.Name == rootCAName &&
			(change.Type == watch.Modified || change.Type == watch.Deleted) {
			return []sacontroller.Key{{Tenant: change.Tenant, Kind: "Namespace", Name: object.Namespace}}
		}
	}
	return nil
}

// Reconcile creates or mends the ConfigMap of the Namespace of key. A Namespace
// that doesn't exist or is being deleted gets none. If another writer reverts the
// ConfigMap more than sixty times in a minute, Reconcile waits until that minute
// is over, and [ConfigMaps.LastError] says so.
func (c *ConfigMaps) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	if key.Kind != "Namespace" || !names.ValidNamespace(key.Name) {
		return sacontroller.Result{}, nil
	}
	return c.attempt(ctx, c.Name(), key, func(ctx context.Context, t *throttle) (sacontroller.Result, error) {
		return sacontroller.Result{}, c.publish(ctx, key, t)
	})
}

func (c *ConfigMaps) publish(ctx context.Context, key sacontroller.Key, t *throttle) error {
	namespace, err := apicall.Namespace(ctx, "rootca", c.reader.GetNamespace, key.Name)
	if namespace == nil || apicall.Terminating(namespace) {
		return err
	}
	current, err := apicall.Get(ctx, "rootca", c.reader.GetConfigMap, key.Name, rootCAName)
	if err != nil {
		return err
	}
	want := planRootCA(current, key.Name, c.rootCA.Get(ctx))
	if want == nil {
		return nil
	}
	if wait := t.Wait(key); wait > 0 {
		return apicall.Reverted("rootca", key, wait)
	}
	if current == nil {
		_, err = contract.Require(c.client.CreateConfigMap(ctx, want))
		if apicall.SaysTerminating(err) || apierrors.IsNotFound(err) { // RCA-5, RCA-6
			return nil
		}
		if err == nil {
			t.Wrote(key)
			return nil
		}
		return apicall.WriteError(err, "rootca: creating ConfigMap %s/%s", key.Name, rootCAName) // RCA-7
	}
	if current.Immutable != nil && *current.Immutable && !maps.Equal(current.Data, want.Data) {
		return apicall.Terminalf("rootca: ConfigMap %s/%s is immutable and holds another bundle, want it deleted", key.Name, rootCAName)
	}
	if _, err = contract.Require(c.client.UpdateConfigMap(ctx, want)); err != nil {
		return apicall.WriteError(err, "rootca: updating ConfigMap %s/%s", key.Name, rootCAName) // RCA-11
	}
	t.Wrote(key)
	return nil
}

// planRootCA returns the ConfigMap to create, if current is nil, or to update
// current to, or nil if current needs nothing or is being deleted (RCA-2, RCA-8..10).
// It reads only its arguments and changes none.
func planRootCA(current *corev1.ConfigMap, namespace string, rootCA []byte) *corev1.ConfigMap {
	var want *corev1.ConfigMap
	if current == nil {
		want = &corev1.ConfigMap{}
		want.Namespace, want.Name = namespace, rootCAName
	} else {
		published := len(current.Data) == 1 && current.Data[rootCAKey] == string(rootCA)
		if current.DeletionTimestamp != nil || published && current.Annotations[rootCADescriptionAnnotation] != "" {
			return nil
		}
		want = current.DeepCopy()
	}
	want.Data = map[string]string{rootCAKey: string(rootCA)}
	if want.Annotations == nil {
		want.Annotations = map[string]string{}
	}
	want.Annotations[rootCADescriptionAnnotation] = rootCADescription
	return want
}
