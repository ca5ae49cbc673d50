package legacytoken

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/memory"
	"github.com/kubesa/serviceaccount/tenant"
)

// The tracking ConfigMap, which says since when use is tracked (CST-11).
const (
	trackingNamespace = "kube-system"
	trackingName      = "kube-apiserver-legacy-service-account-token-tracking"
	trackingSinceKey  = "since"
)

// trackingKey returns the key of the tracking ConfigMap of tenant.
func trackingKey(tenant string) sacontroller.Key {
	return sacontroller.Key{Tenant: tenant, Kind: "ConfigMap", Namespace: trackingNamespace, Name: trackingName}
}

// trackingKeys returns the key of the object of change if it is the tracking ConfigMap.
func trackingKeys(change sacontroller.Change) []sacontroller.Key {
	m, _ := change.Object.(*corev1.ConfigMap)
	if m == nil || m.Namespace != trackingNamespace || m.Name != trackingName {
		return nil
	}
	return []sacontroller.Key{trackingKey(change.Tenant)}
}

// creationPause is the time between two creations of the tracking ConfigMap
// (CLN-5).
const creationPause = 30 * time.Minute

// A TrackerReader is what [Tracker] decides from. The
// package documentation says what every Reader and Client promises.
type TrackerReader interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// A TrackerClient is what [Tracker] writes through.
type TrackerClient interface {
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
	UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// TrackerConfig configures [NewTracker].
type TrackerConfig struct {
	Reader TrackerReader // required; may be a cache
	Client TrackerClient // required
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Tracker is the controller that keeps the tracking ConfigMap,
// kube-apiserver-legacy-service-account-token-tracking in kube-system: it says
// since when the use of Secret-based tokens is recorded. Run it where tokens are
// authenticated. It is safe for concurrent use.
type Tracker struct {
	cfg     TrackerConfig
	created memory.Tenants[atomic.Pointer[age.Span]] // in which this process doesn't create the ConfigMap again
}

var _ sacontroller.Forgetter = (*Tracker)(nil)

// NewTracker returns a Tracker, or an error naming every invalid field, each as a
// [*ConfigError].
func NewTracker(cfg TrackerConfig) (*Tracker, error) {
	mistakes := configerror.List{Config: "legacytoken.TrackerConfig"}
	mistakes.Require("Reader", cfg.Reader, "a TrackerReader")
	mistakes.Require("Client", cfg.Client, "a TrackerClient")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tracker{cfg: cfg}, nil
}

// Name returns "legacy-service-account-token-tracking-controller".
func (c *Tracker) Name() string { return "legacy-service-account-token-tracking-controller" }

// Due returns the key of the tracking ConfigMap at each of its changes, and when
// the Namespace kube-system is added, which is reported at the start even if the
// ConfigMap doesn't exist.
func (c *Tracker) Due(change sacontroller.Change) []sacontroller.Key {
	switch change.Type { // CLN-1
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	if ns, ok := change.Object.(*corev1.Namespace); ok {
		if ns == nil || ns.Name != trackingNamespace || change.Type != watch.Added {
			return nil
		}
		return []sacontroller.Key{trackingKey(change.Tenant)}
	}
	return trackingKeys(change)
}

// trackingPlan is what the tracking ConfigMap needs.
type trackingPlan int

const (
	trackingGood trackingPlan = iota
	trackingCreate
	trackingUpdate
)

// planTracking returns what the tracking ConfigMap needs, nil if there is none
// (CLN-2, CLN-6, CLN-7).
func planTracking(current *corev1.ConfigMap) trackingPlan {
	switch {
	case current == nil:
		return trackingCreate
	case current.DeletionTimestamp != nil || tokensecret.IsDay(current.Data[trackingSinceKey]):
		return trackingGood
	}
	return trackingUpdate
}

// Reconcile creates the ConfigMap or mends its date. It creates it once in half
// an hour at most.
func (c *Tracker) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	if key != trackingKey(key.Tenant) {
		return sacontroller.Result{}, nil
	}
	ctx = tenant.NewContext(ctx, key.Tenant)
	current, err := apicall.Get(ctx, "legacytoken", c.cfg.Reader.GetConfigMap, trackingNamespace, trackingName)
	if err != nil {
		return sacontroller.Result{}, err
	}
	today := tokensecret.FormatDay(c.cfg.Now())
	switch planTracking(current) {
	case trackingCreate:
		return c.create(ctx, key.Tenant, today)
	case trackingUpdate:
		m := current.DeepCopy()
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		m.Data[trackingSinceKey] = today
		_, err := contract.Require(c.cfg.Client.UpdateConfigMap(ctx, m))
		if err != nil && !apierrors.IsNotFound(err) { // CLN-8 as we differ
			return sacontroller.Result{}, apicall.WriteError(err, "legacytoken: updating the tracking ConfigMap")
		}
	}
	return sacontroller.Result{}, nil
}

func (c *Tracker) create(ctx context.Context, tenant, today string) (sacontroller.Result, error) {
	now, created := c.cfg.Now(), c.created.Of(tenant)
	if pause := created.Load(); pause != nil && pause.Holds(now) {
		return sacontroller.Result{RequeueAfter: pause.Until.Sub(now)}, nil
	}
	m := &corev1.ConfigMap{Data: map[string]string{trackingSinceKey: today}}
	m.Namespace, m.Name = trackingNamespace, trackingName
	_, err := contract.Require(c.cfg.Client.CreateConfigMap(ctx, m))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return sacontroller.Result{}, apicall.WriteError(err, "legacytoken: creating the tracking ConfigMap") // CLN-4
	}
	created.Store(&age.Span{From: now, Until: now.Add(creationPause)}) // CLN-3
	return sacontroller.Result{}, nil
}

// Forget implements [sacontroller.Forgetter].
func (c *Tracker) Forget(tenant string) { c.created.Forget(tenant) }
