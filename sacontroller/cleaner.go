package sacontroller

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A LegacyTokenCleanerReader is what [LegacyTokenCleaner] decides from. The
// package documentation says what every Reader and Client promises.
type LegacyTokenCleanerReader interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)

	// ListSecrets returns the Secrets of namespace, or all if it is empty. It may
	// leave out those that are no token Secrets.
	ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error)
	// ListPods returns the Pods of namespace, or all if it is empty.
	ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)
}

// A LegacyTokenCleanerClient is what [LegacyTokenCleaner] writes through, and
// reads from before it invalidates or deletes anything.
type LegacyTokenCleanerClient interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)

	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error)
	DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// Defaults of [LegacyTokenCleanerConfig].
const (
	defaultCleanupPeriod   = 365 * 24 * time.Hour
	defaultCleanupInterval = 24 * time.Hour
)

// LegacyTokenCleanerConfig configures [NewLegacyTokenCleaner].
type LegacyTokenCleanerConfig struct {
	Reader LegacyTokenCleanerReader // required; may be a cache
	Client LegacyTokenCleanerClient // required; must be live

	// CleanupPeriod is how long a token must have been unused to be invalidated,
	// and invalid to be deleted. Zero means a year
	// of 365 days.
	CleanupPeriod time.Duration
	// CleanupInterval is the time between two rounds. Zero means
	// a day.
	CleanupInterval time.Duration

	// DryRun makes rounds decide and report, but not write.
	DryRun bool
	// Observe, if not nil, is called after each round of Reconcile, with its
	// context and the report in [Event.Cleanup]. It must be safe for concurrent
	// use if Reconcile is called concurrently.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// LegacyTokenCleaner is the controller that labels generated token Secrets that
// were unused for long as invalid, and later deletes them. Secrets that were
// created by hand, and those that a pod refers to, are never touched. Its only key
// is that of the tracking ConfigMap (see [LegacyTokenTracker]), which is due once
// at the start and then by [Result.RequeueAfter]. A round with much to do takes many
// attempts, each with a bounded number of calls. It is safe for concurrent use.
type LegacyTokenCleaner struct {
	reader   LegacyTokenCleanerReader
	client   LegacyTokenCleanerClient
	period   time.Duration
	interval time.Duration
	dryRun   bool
	observe  func(ctx context.Context, e Event)
	now      func() time.Time

	mu         sync.Mutex
	unfinished map[string]*cleanupRound // by tenant
}

var _ Forgetter = (*LegacyTokenCleaner)(nil)

// NewLegacyTokenCleaner returns a LegacyTokenCleaner, or a [*ConfigError] for each
// required field that is unset and each negative duration.
func NewLegacyTokenCleaner(cfg LegacyTokenCleanerConfig) (*LegacyTokenCleaner, error) {
	mistakes := configerror.List{Config: "sacontroller.LegacyTokenCleanerConfig"}
	mistakes.Require("Reader", cfg.Reader, "a LegacyTokenCleanerReader")
	mistakes.Require("Client", cfg.Client, "a live LegacyTokenCleanerClient")
	configerror.NotNegative(&mistakes, "CleanupPeriod", cfg.CleanupPeriod)
	configerror.NotNegative(&mistakes, "CleanupInterval", cfg.CleanupInterval)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &LegacyTokenCleaner{
		reader:   cfg.Reader,
		client:   cfg.Client,
		period:   cmp.Or(cfg.CleanupPeriod, defaultCleanupPeriod),
		interval: cmp.Or(cfg.CleanupInterval, defaultCleanupInterval),
		dryRun:   cfg.DryRun,
		observe:  cfg.Observe,
		now:      cfg.Now,

		unfinished: map[string]*cleanupRound{},
	}, nil
}

// Name returns "legacy-serviceaccount-token-cleaner-controller".
func (c *LegacyTokenCleaner) Name() string { return "legacy-serviceaccount-token-cleaner-controller" } // CST-20

// Due returns the key of the tracking ConfigMap when that is added or modified.
func (c *LegacyTokenCleaner) Due(change Change) []Key {
	if change.Type == watch.Added || change.Type == watch.Modified {
		return trackingKeys(change)
	}
	return nil
}

// Reconcile does one round, or the next part of it, and asks for the next round after
// the interval. A Secret that
// couldn't be invalidated or deleted waits for the next round and is in the report.
// There is an error only if nothing could be decided at all.
func (c *LegacyTokenCleaner) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key != trackingKey(key.Tenant) {
		return Result{}, nil
	}
	ctx = key.in(ctx)
	r, began := c.resume(key.Tenant), time.Now()
	var err error
	if r == nil {
		if r, err = c.start(ctx, c.dryRun); err != nil {
			return Result{}, err
		}
	}
	done, err := c.advance(ctx, r, maxCleanupCalls-callsToStart)
	switch {
	case err != nil:
		return Result{}, err
	case !done:
		c.keep(key.Tenant, r)
		return Result{RequeueAfter: Yield}, nil
	}
	if c.observe != nil {
		c.observe(ctx, Event{Controller: c.Name(), Cleanup: r.report, Took: time.Since(began)})
	}
	return Result{RequeueAfter: c.interval}, nil
}

// roundAge is how long after its last attempt a round is given up, such as one that
// another process has finished meanwhile.
const roundAge = time.Minute

// resume returns the round of tenant that the last attempt has not finished, or nil.
func (c *LegacyTokenCleaner) resume(tenant string) *cleanupRound {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.unfinished[tenant]
	delete(c.unfinished, tenant)
	if r != nil && c.now().Sub(r.used) > roundAge {
		return nil
	}
	return r
}

func (c *LegacyTokenCleaner) keep(tenant string, r *cleanupRound) {
	r.used = c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unfinished[tenant] = r
}

// Forget implements [Forgetter].
func (c *LegacyTokenCleaner) Forget(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unfinished, tenant)
}

// Report says what a round of the tenant of ctx would do now, without doing it.
func (c *LegacyTokenCleaner) Report(ctx context.Context) (*CleanupReport, error) {
	r, err := c.start(ctx, true)
	if err == nil {
		_, err = c.advance(ctx, r, math.MaxInt)
	}
	if err != nil {
		return nil, err
	}
	return r.report, nil
}
