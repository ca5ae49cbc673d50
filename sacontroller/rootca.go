package sacontroller

import (
	"context"
	"errors"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
	"github.com/kubesa/serviceaccount/sacontroller/internal/memory"
)

// The published ConfigMap (CST-12, RCA-2).
const (
	rootCAName                  = "kube-root-ca.crt"
	rootCAKey                   = "ca.crt"
	rootCADescriptionAnnotation = "kubernetes.io/description"
	rootCADescription           = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// A RootCAPublisherReader is what [RootCAPublisher] decides from. The package
// documentation says what every Reader and Client promises.
type RootCAPublisherReader interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// A RootCAPublisherClient is what [RootCAPublisher] writes through.
type RootCAPublisherClient interface {
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
	UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// RootCAPublisherConfig configures [NewRootCAPublisher].
type RootCAPublisherConfig struct {
	Reader RootCAPublisherReader // required; may be a cache
	Client RootCAPublisherClient // required

	// RootCA is the CA bundle to publish; required. [RootCAPublisher.SetRootCA]
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

// RootCAPublisher is the controller that publishes a CA bundle in the ConfigMap
// kube-root-ca.crt of every Namespace that isn't being deleted. It is safe for
// concurrent use.
type RootCAPublisher struct {
	reader  RootCAPublisherReader
	client  RootCAPublisherClient
	rootCA  *cabundle.Bundle
	tenants memory.Tenants[rootCAMemory]
	observe func(ctx context.Context, e Event)
}

// rootCAMemory is what a publisher of the root CA remembers of a tenant.
type rootCAMemory struct {
	failures memory.Failures[Key]
	throttle memory.Throttle[Key]
}

func newRootCAMemories(now func() time.Time) memory.Tenants[rootCAMemory] {
	return memory.Tenants[rootCAMemory]{New: func() *rootCAMemory {
		return &rootCAMemory{throttle: memory.Throttle[Key]{Now: now}}
	}}
}

// lastError returns the error of the last attempt at key.
func lastError(tenants *memory.Tenants[rootCAMemory], key Key) error {
	if m := tenants.Known(key.Tenant); m != nil {
		return m.failures.Get(key)
	}
	return nil
}

var (
	_ Resyncer  = (*RootCAPublisher)(nil)
	_ Forgetter = (*RootCAPublisher)(nil)
)

// NewRootCAPublisher returns a RootCAPublisher, or a [*ConfigError] for each
// required field that is unset.
func NewRootCAPublisher(cfg RootCAPublisherConfig) (*RootCAPublisher, error) {
	mistakes := configerror.List{Config: "sacontroller.RootCAPublisherConfig"}
	mistakes.Require("Reader", cfg.Reader, "a RootCAPublisherReader")
	mistakes.Require("Client", cfg.Client, "a RootCAPublisherClient")
	if len(cfg.RootCA) == 0 {
		mistakes.Add("RootCA", "is empty, want a CA bundle")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &RootCAPublisher{
		reader: cfg.Reader, client: cfg.Client, rootCA: cabundle.New(cfg.RootCA, cfg.RootCAOf, cabundle.Check), observe: cfg.Observe,
		tenants: newRootCAMemories(cfg.Now),
	}, nil
}

// Name returns "root-ca-certificate-publisher-controller".
func (c *RootCAPublisher) Name() string { return "root-ca-certificate-publisher-controller" } // CST-20

// SetRootCA publishes another bundle from now on and asks for a resync. A bundle
// that [CheckCABundle] rejects is an error, and the one before stays published.
func (c *RootCAPublisher) SetRootCA(bundle []byte) error { return c.rootCA.Set(bundle) }

// Resync returns the channel that receives a value after [RootCAPublisher.SetRootCA].
func (c *RootCAPublisher) Resync() <-chan struct{} { return c.rootCA.Resync() }

// LastError returns the error of the last attempt at key, or nil if it succeeded
// or there was none. Of many thousands of failing keys some are forgotten.
func (c *RootCAPublisher) LastError(key Key) error { return lastError(&c.tenants, key) }

// Forget implements [Forgetter].
func (c *RootCAPublisher) Forget(tenant string) { c.tenants.Forget(tenant) }

// Due returns the key of a Namespace that was added, or is active and was
// modified, or whose ConfigMap kube-root-ca.crt was modified or deleted.
func (c *RootCAPublisher) Due(change Change) []Key {
	switch object := change.Object.(type) { // RCA-3
	case *corev1.Namespace:
		if object != nil && object.Name != "" && (change.Type == watch.Added ||
			change.Type == watch.Modified && object.Status.Phase == corev1.NamespaceActive) {
			return []Key{{Tenant: change.Tenant, Kind: kindNamespace, Name: object.Name}}
		}
	case *corev1.ConfigMap:
		if object != nil && object.Namespace != "" && object.Name == rootCAName &&
			(change.Type == watch.Modified || change.Type == watch.Deleted) {
			return []Key{{Tenant: change.Tenant, Kind: kindNamespace, Name: object.Namespace}}
		}
	}
	return nil
}

// Reconcile creates or mends the ConfigMap of the Namespace of key. A Namespace
// that doesn't exist or is being deleted gets none. If another writer reverts the
// ConfigMap more than sixty times in a minute, Reconcile waits until that minute
// is over, and [RootCAPublisher.LastError] says so.
func (c *RootCAPublisher) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key.Kind != kindNamespace || !names.ValidNamespace(key.Name) {
		return Result{}, nil
	}
	ctx, began := key.in(ctx), time.Now()
	m := c.tenants.Of(key.Tenant)
	err := c.reconcile(ctx, key, &m.throttle)
	m.failures.Note(key, err)
	if c.observe != nil {
		c.observe(ctx, Event{Controller: c.Name(), Took: time.Since(began), Err: err})
	}
	if pause, ok := errors.AsType[*pauseError](err); ok {
		return Result{RequeueAfter: pause.wait}, nil
	}
	return Result{}, err
}

func (c *RootCAPublisher) reconcile(ctx context.Context, key Key, throttle *memory.Throttle[Key]) error {
	namespace, err := namespaceIfExists(ctx, c.reader.GetNamespace, key.Name)
	if err != nil || namespace == nil || isTerminating(namespace) {
		return err
	}
	current, err := getIfExists(ctx, c.reader.GetConfigMap, key.Name, rootCAName)
	if err != nil {
		return err
	}
	want := planRootCA(current, key.Name, c.rootCA.Get(ctx))
	if want == nil {
		return nil
	}
	if wait := throttle.Wait(key); wait > 0 {
		return reverted(key, wait)
	}
	if current == nil {
		_, err = requireObject(c.client.CreateConfigMap(ctx, want))
		if saysTerminating(err) || apierrors.IsNotFound(err) { // RCA-5, RCA-6
			return nil
		}
		if err == nil {
			throttle.Wrote(key)
			return nil
		}
		return writeError(err, "creating ConfigMap %s/%s", key.Name, rootCAName) // RCA-7
	}
	if current.Immutable != nil && *current.Immutable && !maps.Equal(current.Data, want.Data) {
		return terminalf("ConfigMap %s/%s is immutable and holds another bundle, want it deleted", key.Name, rootCAName)
	}
	if _, err = requireObject(c.client.UpdateConfigMap(ctx, want)); err != nil {
		return writeError(err, "updating ConfigMap %s/%s", key.Name, rootCAName) // RCA-11
	}
	throttle.Wrote(key)
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
