package sacontroller

import (
	"context"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// The tracking ConfigMap, which says since when use is tracked (CST-11).
const (
	trackingNamespace = "kube-system"
	trackingName      = "kube-apiserver-legacy-service-account-token-tracking"
	trackingSinceKey  = "since"
)

// trackingKey returns the key of the tracking ConfigMap of tenant.
func trackingKey(tenant string) Key {
	return Key{Tenant: tenant, Kind: kindConfigMap, Namespace: trackingNamespace, Name: trackingName}
}

// trackingKeys returns the key of the object of change if it is the tracking ConfigMap.
func trackingKeys(change Change) []Key {
	m, ok := change.Object.(*corev1.ConfigMap)
	if !ok || m == nil || m.Namespace != trackingNamespace || m.Name != trackingName {
		return nil
	}
	return []Key{trackingKey(change.Tenant)}
}

// creationPause is the time between two creations of the tracking ConfigMap
// (CLN-5).
const creationPause = 30 * time.Minute

// A LegacyTokenTrackerReader is what [LegacyTokenTracker] decides from. The
// package documentation says what every Reader and Client promises.
type LegacyTokenTrackerReader interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// A LegacyTokenTrackerClient is what [LegacyTokenTracker] writes through.
type LegacyTokenTrackerClient interface {
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
	UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// LegacyTokenTrackerConfig configures [NewLegacyTokenTracker].
type LegacyTokenTrackerConfig struct {
	Reader LegacyTokenTrackerReader // required; may be a cache
	Client LegacyTokenTrackerClient // required
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// LegacyTokenTracker is the controller that keeps the tracking ConfigMap,
// kube-apiserver-legacy-service-account-token-tracking in kube-system: it says
// since when the use of Secret-based tokens is recorded. Run it where tokens are
// authenticated. It is safe for concurrent use.
type LegacyTokenTracker struct {
	reader LegacyTokenTrackerReader
	client LegacyTokenTrackerClient
	now    func() time.Time

	mu      sync.Mutex
	created map[string]time.Time // when the ConfigMap of a tenant was last created by this process
}

var _ Forgetter = (*LegacyTokenTracker)(nil)

// NewLegacyTokenTracker returns a LegacyTokenTracker, or a [*ConfigError] for each
// required field that is unset.
func NewLegacyTokenTracker(cfg LegacyTokenTrackerConfig) (*LegacyTokenTracker, error) {
	mistakes := configerror.List{Config: "sacontroller.LegacyTokenTrackerConfig"}
	mistakes.Require("Reader", cfg.Reader, "a LegacyTokenTrackerReader")
	mistakes.Require("Client", cfg.Client, "a LegacyTokenTrackerClient")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &LegacyTokenTracker{reader: cfg.Reader, client: cfg.Client, now: cfg.Now, created: map[string]time.Time{}}, nil
}

// Name returns "legacy-service-account-token-tracking-controller".
func (c *LegacyTokenTracker) Name() string { return "legacy-service-account-token-tracking-controller" }

// Due returns the key of the tracking ConfigMap at each of its changes, and when
// the Namespace kube-system is added, which is reported at the start even if the
// ConfigMap doesn't exist.
func (c *LegacyTokenTracker) Due(change Change) []Key {
	switch change.Type { // CLN-1
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	if ns, ok := change.Object.(*corev1.Namespace); ok {
		if ns == nil || ns.Name != trackingNamespace || change.Type != watch.Added {
			return nil
		}
		return []Key{trackingKey(change.Tenant)}
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
func (c *LegacyTokenTracker) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key != trackingKey(key.Tenant) {
		return Result{}, nil
	}
	ctx = key.in(ctx)
	current, err := getIfExists(ctx, c.reader.GetConfigMap, trackingNamespace, trackingName)
	if err != nil {
		return Result{}, err
	}
	today := tokensecret.FormatDay(c.now())
	switch planTracking(current) {
	case trackingCreate:
		return c.create(ctx, key.Tenant, today)
	case trackingUpdate:
		m := current.DeepCopy()
		m.Data = maps.Clone(m.Data)
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		m.Data[trackingSinceKey] = today
		_, err := requireObject(c.client.UpdateConfigMap(ctx, m))
		if err != nil && !apierrors.IsNotFound(err) { // CLN-8 as we differ
			return Result{}, writeError(err, "updating the tracking ConfigMap")
		}
	}
	return Result{}, nil
}

func (c *LegacyTokenTracker) create(ctx context.Context, tenant, today string) (Result, error) {
	now := c.now()
	c.mu.Lock()
	created, ok := c.created[tenant]
	c.mu.Unlock()
	if next := created.Add(creationPause); ok && now.Before(next) {
		return Result{RequeueAfter: next.Sub(now)}, nil
	}
	m := &corev1.ConfigMap{Data: map[string]string{trackingSinceKey: today}}
	m.Namespace, m.Name = trackingNamespace, trackingName
	_, err := requireObject(c.client.CreateConfigMap(ctx, m))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return Result{}, writeError(err, "creating the tracking ConfigMap") // CLN-4
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.created[tenant] = now // CLN-3
	return Result{}, nil
}

// Forget implements [Forgetter].
func (c *LegacyTokenTracker) Forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.created, tenant)
}
