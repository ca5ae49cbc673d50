package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// The published ConfigMap (CST-12, RCA-2).
const (
	rootCAName                  = "kube-root-ca.crt"
	rootCAKey                   = "ca.crt"
	rootCADescriptionAnnotation = "kubernetes.io/description"
	rootCADescription           = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// RootCAPublisherConfig configures [NewRootCAPublisher].
type RootCAPublisherConfig struct {
	Reader RootCAPublisherReader // required; may be a cache
	Client RootCAPublisherClient // required

	// RootCA is the CA bundle to publish; required. [RootCAPublisher.SetRootCA]
	// changes it at run time.
	RootCA []byte

	// Now returns the current time. It serves only to slow down when somebody
	// else keeps undoing what is written. If nil, time.Now is used.
	Now func() time.Time
}

// RootCAPublisher is the controller that publishes a CA bundle in the ConfigMap
// kube-root-ca.crt of every Namespace that isn't being deleted (RCA-1..12). It is
// safe for concurrent use.
type RootCAPublisher struct {
	reader   RootCAPublisherReader
	client   RootCAPublisherClient
	rootCA   *bundle
	failures failures
	pace     pace
}

var _ Resyncer = (*RootCAPublisher)(nil)

// NewRootCAPublisher returns a RootCAPublisher, or an error that names every
// required field of cfg that is unset.
func NewRootCAPublisher(cfg RootCAPublisherConfig) (*RootCAPublisher, error) {
	var errs []error
	if cfg.Reader == nil {
		errs = append(errs, errors.New("sacontroller: RootCAPublisherConfig.Reader is nil, want a reader"))
	}
	if cfg.Client == nil {
		errs = append(errs, errors.New("sacontroller: RootCAPublisherConfig.Client is nil, want a client"))
	}
	if len(cfg.RootCA) == 0 {
		errs = append(errs, errors.New("sacontroller: RootCAPublisherConfig.RootCA is empty, want a CA bundle"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &RootCAPublisher{reader: cfg.Reader, client: cfg.Client, rootCA: newBundle(cfg.RootCA), pace: pace{now: cfg.Now}}, nil
}

// Name returns "root-ca-certificate-publisher-controller" (CST-20).
func (c *RootCAPublisher) Name() string { return "root-ca-certificate-publisher-controller" }

// SetRootCA publishes another bundle from now on and asks for a resync. A bundle
// that [CheckCABundle] refuses is an error, and the one before stays published.
func (c *RootCAPublisher) SetRootCA(bundle []byte) error { return c.rootCA.set(bundle) }

// Resync returns the channel that receives a value after [RootCAPublisher.SetRootCA].
func (c *RootCAPublisher) Resync() <-chan struct{} { return c.rootCA.resync }

// LastError returns the error of the last attempt at key, or nil if it succeeded
// or there was none. Of many thousands of failing keys some are forgotten.
func (c *RootCAPublisher) LastError(key Key) error { return c.failures.get(key) }

// Due returns the key of the Namespace that was added, or is active and was
// changed, or whose ConfigMap kube-root-ca.crt was changed or deleted (RCA-3).
func (c *RootCAPublisher) Due(event Event) []Key {
	switch object := event.Object.(type) {
	case *corev1.Namespace:
		if object != nil && object.Name != "" && (event.Type == watch.Added ||
			event.Type == watch.Modified && object.Status.Phase == corev1.NamespaceActive) {
			return []Key{{Kind: kindNamespace, Name: object.Name}}
		}
	case *corev1.ConfigMap:
		if object != nil && object.Namespace != "" && object.Name == rootCAName &&
			(event.Type == watch.Modified || event.Type == watch.Deleted) {
			return []Key{{Kind: kindNamespace, Name: object.Namespace}}
		}
	}
	return nil
}

// Reconcile brings the ConfigMap of the Namespace of key in order. A Namespace
// that is unknown or being deleted gets none. If somebody else changes the
// ConfigMap back more than sixty times in a minute, Reconcile waits that minute
// out, and [RootCAPublisher.LastError] says so.
func (c *RootCAPublisher) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key.Kind != kindNamespace || key.Name == "" {
		return Result{}, nil
	}
	err := c.reconcile(ctx, key)
	c.failures.note(key, err)
	if undone, ok := errors.AsType[*undoneError](err); ok {
		return Result{RequeueAfter: undone.wait}, nil
	}
	return Result{}, err
}

func (c *RootCAPublisher) reconcile(ctx context.Context, key Key) error {
	namespace, err := found(c.reader.GetNamespace(ctx, key.Name))
	if err != nil || namespace == nil || isTerminating(namespace) {
		return err
	}
	current, err := found(c.reader.GetConfigMap(ctx, key.Name, rootCAName))
	if err != nil {
		return err
	}
	want := planRootCA(current, key.Name, c.rootCA.get())
	if want == nil {
		return nil
	}
	if wait := c.pace.wait(key); wait > 0 {
		return &undoneError{key, wait}
	}
	if current == nil {
		_, err = c.client.CreateConfigMap(ctx, want)
		if saysTerminating(err) || apierrors.IsNotFound(err) { // RCA-5, RCA-6
			return nil
		}
		if err == nil {
			c.pace.wrote(key)
			return nil
		}
		return fmt.Errorf("sacontroller: creating ConfigMap %s/%s: %w", key.Name, rootCAName, err) // RCA-7
	}
	if _, err = c.client.UpdateConfigMap(ctx, want); err != nil {
		return fmt.Errorf("sacontroller: updating ConfigMap %s/%s: %w", key.Name, rootCAName, err) // RCA-11
	}
	c.pace.wrote(key)
	return nil
}

// planRootCA returns the ConfigMap to create, if current is nil, or to update
// current to, or nil if current is in order or being deleted (RCA-2, RCA-8..10).
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
