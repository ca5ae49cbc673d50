package legacytoken

import (
	"cmp"
	"context"
	"math"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/memory"
	"github.com/kubesa/serviceaccount/tenant"
)

// A CleanerReader is what [Cleaner] decides from. The
// package documentation says what every Reader and Client promises.
type CleanerReader interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)

	// ListSecrets returns the Secrets of namespace, or all if it is empty. It may
	// leave out those that are no token Secrets.
	ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error)
	// ListPods returns the Pods of namespace, or all if it is empty.
	ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)
}

// A CleanerClient is what [Cleaner] writes through, and
// reads from before it invalidates or deletes anything.
type CleanerClient interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)

	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error)
	DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// Defaults of [CleanerConfig].
const (
	defaultCleanupPeriod   = 365 * 24 * time.Hour
	defaultCleanupInterval = 24 * time.Hour
)

// CleanerConfig configures [NewCleaner].
type CleanerConfig struct {
	Reader CleanerReader // required; may be a cache
	Client CleanerClient // required; must be live

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
	// context. It must be safe for concurrent
	// use if Reconcile is called concurrently.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Cleaner is the controller that labels generated token Secrets that
// were unused for long as invalid, and later deletes them. Secrets that were
// created by hand, and those that a pod refers to, are never touched. Its only key
// is that of the tracking ConfigMap (see [Tracker]), which is due once
// at the start and then by [sacontroller.Result.RequeueAfter]. A round with much to do takes many
// attempts, each with a bounded number of calls. It is safe for concurrent use.
type Cleaner struct {
	cfg        CleanerConfig
	unfinished memory.Tenants[atomic.Pointer[round]]
}

var _ sacontroller.Forgetter = (*Cleaner)(nil)

// A ConfigError is one mistake in a config struct, as [sacontroller.ConfigError] says.
type ConfigError = configerror.Error

// NewCleaner returns a Cleaner, or an error naming every invalid field, each as a
// [*ConfigError].
func NewCleaner(cfg CleanerConfig) (*Cleaner, error) {
	mistakes := configerror.List{Config: "legacytoken.CleanerConfig"}
	mistakes.Require("Reader", cfg.Reader, "a CleanerReader")
	mistakes.Require("Client", cfg.Client, "a live CleanerClient")
	configerror.NotNegative(&mistakes, "CleanupPeriod", cfg.CleanupPeriod)
	configerror.NotNegative(&mistakes, "CleanupInterval", cfg.CleanupInterval)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.CleanupPeriod = cmp.Or(cfg.CleanupPeriod, defaultCleanupPeriod)
	cfg.CleanupInterval = cmp.Or(cfg.CleanupInterval, defaultCleanupInterval)
	return &Cleaner{cfg: cfg}, nil
}

// Name returns "legacy-serviceaccount-token-cleaner-controller".
func (c *Cleaner) Name() string { return "legacy-serviceaccount-token-cleaner-controller" } // CST-20

// Due returns the key of the tracking ConfigMap when that is added or modified.
func (c *Cleaner) Due(change sacontroller.Change) []sacontroller.Key {
	if change.Type == watch.Added || change.Type == watch.Modified {
		return trackingKeys(change)
	}
	return nil
}

// Reconcile does one round, or the next part of it, and asks for the next round after
// the interval. A Secret that
// couldn't be invalidated or deleted waits for the next round and is in the report.
// There is an error only if nothing could be decided at all.
func (c *Cleaner) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	if key != trackingKey(key.Tenant) {
		return sacontroller.Result{}, nil
	}
	ctx = tenant.NewContext(ctx, key.Tenant)
	r, began := c.resume(key.Tenant), time.Now()
	var err error
	if r == nil {
		if r, err = c.start(ctx, c.cfg.DryRun); err != nil {
			return sacontroller.Result{}, err
		}
	}
	done, err := c.advance(ctx, r, maxCleanupCalls-callsToStart)
	switch {
	case err != nil:
		return sacontroller.Result{}, err
	case !done:
		now := c.cfg.Now()
		r.kept = age.Span{From: now, Until: now.Add(roundAge)}
		c.unfinished.Of(key.Tenant).Store(r)
		return sacontroller.Result{RequeueAfter: sacontroller.Yield}, nil
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(ctx, Event{Took: time.Since(began), Report: r.report})
	}
	return sacontroller.Result{RequeueAfter: c.cfg.CleanupInterval}, nil
}

// roundAge is how long after its last attempt a round is given up, such as one that
// another process has finished meanwhile.
const roundAge = time.Minute

// resume returns the round of tenant that the last attempt has not finished, or nil.
func (c *Cleaner) resume(tenant string) *round {
	r := c.unfinished.Of(tenant).Swap(nil)
	if r != nil && !r.kept.Holds(c.cfg.Now()) {
		return nil
	}
	return r
}

// Forget implements [sacontroller.Forgetter].
func (c *Cleaner) Forget(tenant string) { c.unfinished.Forget(tenant) }

// Report says what a round of the tenant of ctx would do now, without doing it.
func (c *Cleaner) Report(ctx context.Context) (*Report, error) {
	r, err := c.start(ctx, true)
	if err == nil {
		_, err = c.advance(ctx, r, math.MaxInt)
	}
	if err != nil {
		return nil, err
	}
	return r.report, nil
}
