package sacontroller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Defaults of [LegacyTokenCleanerConfig] (CLN-20).
const (
	DefaultCleanUpPeriod   = 365 * 24 * time.Hour
	DefaultCleanUpInterval = 24 * time.Hour
)

// LegacyTokenCleanerConfig configures [NewLegacyTokenCleaner].
type LegacyTokenCleanerConfig struct {
	Reader LegacyTokenCleanerReader // required; may be a cache
	Client LegacyTokenCleanerClient // required; must be live

	// CleanUpPeriod is how long a token must have been unused to be marked
	// invalid, and marked to be deleted. Zero means [DefaultCleanUpPeriod].
	CleanUpPeriod time.Duration
	// SyncInterval is the time between two rounds. Zero means
	// [DefaultCleanUpInterval].
	SyncInterval time.Duration

	// DryRun makes rounds decide and report, but not write.
	DryRun bool
	// Observe, if not nil, is called with the report of each round of Reconcile.
	// It must be safe for concurrent use if Reconcile is called concurrently.
	Observe func(*CleanupReport)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// LegacyTokenCleaner is the controller that marks token Secrets that were
// generated for accounts and not used for long as invalid, and later deletes
// them (CLN-20..33). Secrets that were created by hand, and those that a pod
// refers to, are never touched. Its only key is that of the ConfigMap that says
// since when use is tracked, which is due once at the start and then by
// Result.RequeueAfter. It is safe for concurrent use and keeps no state.
type LegacyTokenCleaner struct {
	reader   LegacyTokenCleanerReader
	client   LegacyTokenCleanerClient
	period   time.Duration
	interval time.Duration
	dryRun   bool
	observe  func(*CleanupReport)
	now      func() time.Time
}

var _ Controller = (*LegacyTokenCleaner)(nil)

// NewLegacyTokenCleaner returns a LegacyTokenCleaner, or an error that names every
// mistake in cfg: a missing field, a negative duration.
func NewLegacyTokenCleaner(cfg LegacyTokenCleanerConfig) (*LegacyTokenCleaner, error) {
	var errs []error
	if cfg.Reader == nil {
		errs = append(errs, errors.New("sacontroller: LegacyTokenCleanerConfig.Reader is nil, want a reader"))
	}
	if cfg.Client == nil {
		errs = append(errs, errors.New("sacontroller: LegacyTokenCleanerConfig.Client is nil, want a live client"))
	}
	if cfg.CleanUpPeriod < 0 {
		errs = append(errs, fmt.Errorf("sacontroller: invalid CleanUpPeriod: %v, want a positive one", cfg.CleanUpPeriod))
	}
	if cfg.SyncInterval < 0 {
		errs = append(errs, fmt.Errorf("sacontroller: invalid SyncInterval: %v, want a positive one", cfg.SyncInterval))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &LegacyTokenCleaner{
		reader:   cfg.Reader,
		client:   cfg.Client,
		period:   cmp.Or(cfg.CleanUpPeriod, DefaultCleanUpPeriod),
		interval: cmp.Or(cfg.SyncInterval, DefaultCleanUpInterval),
		dryRun:   cfg.DryRun,
		observe:  cfg.Observe,
		now:      cfg.Now,
	}, nil
}

// Name returns "legacy-serviceaccount-token-cleaner-controller" (CST-20).
func (c *LegacyTokenCleaner) Name() string { return "legacy-serviceaccount-token-cleaner-controller" }

// Due returns the key of the tracking ConfigMap when that is added or changed.
func (c *LegacyTokenCleaner) Due(event Event) []Key {
	if event.Type == watch.Added || event.Type == watch.Modified {
		return trackingKey(event.Object)
	}
	return nil
}

// trackingKey returns the key of object if it is the tracking ConfigMap.
func trackingKey(object any) []Key {
	m, ok := object.(*corev1.ConfigMap)
	if !ok || m == nil || m.Namespace != trackingNamespace || m.Name != trackingName {
		return nil
	}
	return []Key{{Kind: kindConfigMap, Namespace: trackingNamespace, Name: trackingName}}
}

// Reconcile does one round and asks for the next after the interval. A Secret that
// couldn't be marked or deleted waits for that (CLN-31) and is in the report; only
// if nothing could be decided at all is there an error.
func (c *LegacyTokenCleaner) Reconcile(ctx context.Context, key Key) (Result, error) {
	if key != (Key{Kind: kindConfigMap, Namespace: trackingNamespace, Name: trackingName}) {
		return Result{}, nil
	}
	report, err := c.round(ctx, c.dryRun)
	if err != nil {
		return Result{}, err
	}
	if c.observe != nil {
		c.observe(report)
	}
	return Result{RequeueAfter: c.interval}, nil
}

// Report says what a round would do now, and does none of it.
func (c *LegacyTokenCleaner) Report(ctx context.Context) (*CleanupReport, error) {
	return c.round(ctx, true)
}

// A CleanupReport tells of one round of a [LegacyTokenCleaner].
type CleanupReport struct {
	Time   time.Time
	DryRun bool
	// Aborted says why nothing was looked at, or is empty (CLN-21, CLN-22).
	Aborted string
	// Secrets are the token Secrets that were looked at, in the order of namespace
	// and name.
	Secrets []SecretCleanup
}

// A SecretCleanup is what a round decided about one token Secret.
type SecretCleanup struct {
	Namespace, Name string
	Action          CleanupAction
	Reason          CleanupReason
	// Err is why Action wasn't done, or couldn't be decided. It is nil in a dry run
	// and if the Secret was gone or had changed (CLN-31).
	Err error
}

// round decides about every token Secret and, unless dryRun, acts.
func (c *LegacyTokenCleaner) round(ctx context.Context, dryRun bool) (*CleanupReport, error) {
	report := &CleanupReport{Time: c.now(), DryRun: dryRun}
	policy, aborted, err := c.policy(ctx, report.Time)
	if err != nil || aborted != "" {
		report.Aborted = aborted
		return report, err
	}
	secrets, err := c.reader.ListSecrets(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("sacontroller: listing Secrets: %w", err)
	}
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b *corev1.Secret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	cached := &cleanupView{policy: policy, now: report.Time, reader: c.reader}
	live := &cleanupView{policy: policy, now: report.Time, reader: c.client}
	for _, s := range secrets {
		if !tokensecret.Is(s) {
			continue
		}
		entry := SecretCleanup{Namespace: s.Namespace, Name: s.Name}
		entry.Action, entry.Reason, entry.Err = cached.decide(ctx, s)
		if entry.Action != CleanupKeep && entry.Err == nil && !dryRun {
			entry.Action, entry.Reason, entry.Err = c.act(ctx, live, s)
		}
		report.Secrets = append(report.Secrets, entry)
	}
	return report, ctx.Err()
}

// policy reads since when use is tracked, live (CLN-21).
func (c *LegacyTokenCleaner) policy(ctx context.Context, now time.Time) (policy CleanupPolicy, aborted string, err error) {
	tracking, err := found(c.client.GetConfigMap(ctx, trackingNamespace, trackingName))
	if err != nil {
		return CleanupPolicy{}, "", err
	}
	if tracking == nil {
		return CleanupPolicy{}, "the tracking ConfigMap does not exist", nil
	}
	value, ok := tracking.Data[trackingSinceKey]
	if !ok {
		return CleanupPolicy{}, "the tracking ConfigMap does not say since when", nil
	}
	since, err := tokensecret.ParseDay(value)
	if err != nil {
		return CleanupPolicy{}, fmt.Sprintf("the tracking ConfigMap says since %.40q, want a date like 2006-01-02", value), nil
	}
	policy = CleanupPolicy{Period: c.period, Since: since}
	if !policy.Tracked(now) {
		return policy, string(CleanupNotTracked), nil
	}
	return policy, "", nil
}

// act judges secret again by live reads, and does what comes out.
func (c *LegacyTokenCleaner) act(ctx context.Context, live *cleanupView, secret *corev1.Secret) (CleanupAction, CleanupReason, error) {
	now, err := found(c.client.GetSecret(ctx, secret.Namespace, secret.Name))
	if err != nil {
		return CleanupKeep, "", err
	}
	if now == nil || now.UID != secret.UID {
		return CleanupKeep, CleanupBeingDeleted, nil
	}
	action, reason, err := live.decide(ctx, now)
	if err != nil {
		return action, reason, err
	}
	switch action {
	case CleanupMark:
		_, err = c.client.PatchSecret(ctx, now.Namespace, now.Name, types.MergePatchType, tokensecret.LabelPatch(now.Namespace, now.Name, now.UID, tokensecret.InvalidSinceLabel, tokensecret.FormatDay(live.now)))
	case CleanupDelete:
		err = c.client.DeleteSecret(ctx, now.Namespace, now.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion},
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("sacontroller: cleaning up Secret %s/%s: %w", now.Namespace, now.Name, err)
	}
	return action, reason, err
}

// cleanupView is what one round sees through one reader. What it needs to know of
// a namespace is read once, so that a round is linear (SECURITY C06).
type cleanupView struct {
	policy     CleanupPolicy
	now        time.Time
	reader     cleanupReader
	namespaces map[string]cleanupNamespace
}

type cleanupReader interface {
	NamespaceGetter
	ServiceAccountGetter
	PodLister
}

type cleanupNamespace struct {
	terminating bool
	used        map[string]bool // the names of the Secrets that its pods refer to
}

// decide is CleanupPolicy.Decide, reading what it needs only when it comes to that.
func (v *cleanupView) decide(ctx context.Context, secret *corev1.Secret) (CleanupAction, CleanupReason, error) {
	if reason := v.policy.keeps(secret, v.now); reason != "" {
		return CleanupKeep, reason, nil
	}
	name, _ := tokensecret.Owner(secret)
	if name == "" {
		return CleanupKeep, CleanupNoAccount, nil
	}
	account, err := found(v.reader.GetServiceAccount(ctx, secret.Namespace, name))
	if err != nil {
		return CleanupKeep, "", err
	}
	if reason := keepsFor(secret, account); reason != "" {
		return CleanupKeep, reason, nil
	}
	action, reason := v.policy.due(secret, v.now)
	if action == CleanupKeep {
		return action, reason, nil
	}
	namespace, err := v.namespace(ctx, secret.Namespace)
	switch {
	case err != nil:
		return CleanupKeep, "", err
	case namespace.used[secret.Name]:
		return CleanupKeep, CleanupMounted, nil
	case namespace.terminating:
		return CleanupKeep, CleanupTerminating, nil
	}
	return action, reason, nil
}

func (v *cleanupView) namespace(ctx context.Context, name string) (cleanupNamespace, error) {
	if ns, ok := v.namespaces[name]; ok {
		return ns, nil
	}
	namespace, err := found(v.reader.GetNamespace(ctx, name))
	if err != nil {
		return cleanupNamespace{}, err
	}
	pods, err := v.reader.ListPods(ctx, name)
	if err != nil {
		return cleanupNamespace{}, fmt.Errorf("sacontroller: listing the pods of Namespace %q: %w", name, err)
	}
	ns := cleanupNamespace{terminating: namespace != nil && isTerminating(namespace), used: usedNames(pods)}
	if v.namespaces == nil {
		v.namespaces = map[string]cleanupNamespace{}
	}
	v.namespaces[name] = ns
	return ns, nil
}
