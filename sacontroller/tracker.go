package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// creationPause is the time between two creations of the tracking ConfigMap
// (CLN-5).
const creationPause = 30 * time.Minute

// LegacyTokenTrackerConfig configures [NewLegacyTokenTracker].
type LegacyTokenTrackerConfig struct {
	Reader ConfigMapGetter          // required; may be a cache
	Client LegacyTokenTrackerClient // required
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// LegacyTokenTracker is the controller that keeps the ConfigMap that says since
// when the use of token Secrets is tracked (CLN-1..8):
// kube-apiserver-legacy-service-account-token-tracking in kube-system. Run it
// where tokens are authenticated and their use is recorded. It is safe for
// concurrent use.
type LegacyTokenTracker struct {
	reader ConfigMapGetter
	client LegacyTokenTrackerClient
	now    func() time.Time

	mu      sync.Mutex
	created time.Time // when the ConfigMap was last created by this process
}

var _ Controller = (*LegacyTokenTracker)(nil)

// NewLegacyTokenTracker returns a LegacyTokenTracker, or an error that names every
// required field of cfg that is unset.
func NewLegacyTokenTracker(cfg LegacyTokenTrackerConfig) (*LegacyTokenTracker, error) {
	var errs []error
	if cfg.Reader == nil {
		errs = append(errs, errors.New("sacontroller: LegacyTokenTrackerConfig.Reader is nil, want a reader"))
	}
	if cfg.Client == nil {
		errs = append(errs, errors.New("sacontroller: LegacyTokenTrackerConfig.Client is nil, want a client"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &LegacyTokenTracker{reader: cfg.Reader, client: cfg.Client, now: cfg.Now}, nil
}

// Name returns "legacy-service-account-token-tracking-controller".
func (c *LegacyTokenTracker) Name() string { return "legacy-service-account-token-tracking-controller" }

// Due returns the key of the tracking ConfigMap at each of its events, and when
// the Namespace kube-system is added: that is reported at the start even if the
// ConfigMap doesn't exist (CLN-1).
func (c *LegacyTokenTracker) Due(event Event) []Key {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	if ns, ok := event.Object.(*corev1.Namespace); ok {
		if ns == nil || ns.Name != trackingNamespace || event.Type != watch.Added {
			return nil
		}
		return []Key{{Kind: kindConfigMap, Namespace: trackingNamespace, Name: trackingName}}
	}
	return trackingKey(event.Object)
}

// trackingPlan is what the tracking ConfigMap needs.
type trackingPlan int

const (
	trackingGood trackingPlan = iota
	trackingCreate
	trackingUpdate
)

// planTracking judges the tracking ConfigMap; nil if there is none (CLN-2, CLN-6,
// CLN-7).
func planTracking(current *corev1.ConfigMap) trackingPlan {
	switch {
	case current == nil:
		return trackingCreate
	case current.DeletionTimestamp != nil || tokensecret.IsDay(current.Data[trackingSinceKey]):
		return trackingGood
	}
	return trackingUpdate
}

// Reconcile creates the ConfigMap or repairs its date. Created again and again, it
// waits half an hour in between (CLN-5).
func (c *LegacyTokenTracker) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key != (Key{Kind: kindConfigMap, Namespace: trackingNamespace, Name: trackingName}) {
		return Result{}, nil
	}
	current, err := found(c.reader.GetConfigMap(ctx, trackingNamespace, trackingName))
	if err != nil {
		return Result{}, err
	}
	today := tokensecret.FormatDay(c.now())
	switch planTracking(current) {
	case trackingCreate:
		return c.create(ctx, today)
	case trackingUpdate:
		m := current.DeepCopy()
		m.Data = maps.Clone(m.Data)
		if m.Data == nil {
			m.Data = map[string]string{}
		}
		m.Data[trackingSinceKey] = today
		_, err := c.client.UpdateConfigMap(ctx, m)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // CLN-8
			return Result{}, fmt.Errorf("sacontroller: updating the tracking ConfigMap: %w", err)
		}
	}
	return Result{}, nil
}

func (c *LegacyTokenTracker) create(ctx context.Context, today string) (Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if next := c.created.Add(creationPause); !c.created.IsZero() && now.Before(next) {
		return Result{RequeueAfter: next.Sub(now)}, nil
	}
	m := &corev1.ConfigMap{Data: map[string]string{trackingSinceKey: today}}
	m.Namespace, m.Name = trackingNamespace, trackingName
	_, err := c.client.CreateConfigMap(ctx, m)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return Result{}, fmt.Errorf("sacontroller: creating the tracking ConfigMap: %w", err) // CLN-4
	}
	c.created = now // CLN-3
	return Result{}, nil
}
