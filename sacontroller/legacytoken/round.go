package legacytoken

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/podsecrets"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// An Event tells an Observe func of one round of a [Cleaner].
type Event struct {
	Took   time.Duration // by its last attempt
	Report *Report
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A Report tells of one round of a [Cleaner].
type Report struct {
	Time   time.Time
	DryRun bool
	// Problem says why the round decided nothing. It is empty if it did.
	Problem string
	// Decisions has one for each token Secret, in the order of namespace and name.
	Decisions []Decision
}

// LogValue returns the numbers of r for log/slog.
func (r *Report) LogValue() slog.Value {
	if r == nil {
		return slog.AnyValue(nil)
	}
	count := struct {
		DryRun                             bool
		Problem                            string
		Kept, Invalidated, Deleted, Failed int
	}{DryRun: r.DryRun, Problem: r.Problem}
	for _, d := range r.Decisions {
		switch {
		case d.Err != nil:
			count.Failed++
		case d.Action == Invalidate:
			count.Invalidated++
		case d.Action == Delete:
			count.Deleted++
		default:
			count.Kept++
		}
	}
	return logvalue.Of(count)
}

// A Decision is what a round decided about one token Secret.
type Decision struct {
	Namespace, Name string
	Action          Action
	Reason          Reason
	// Err is why Action wasn't done, or couldn't be decided. It is nil in a dry run
	// and if the Secret was deleted or changed meanwhile.
	Err error
}

// A round is one round, made in as many attempts as its calls take.
type round struct {
	report       *Report
	secrets      []*corev1.Secret // that are left, in the order of namespace and name
	cached, live *view
	kept         age.Span // in which an attempt may go on with it
}

// The calls of an attempt, and those that one Secret takes at most: three to decide
// by the Reader and five to decide again, live, and to act.
const (
	maxCleanupCalls = 32
	callsToStart    = 2
	callsPerCleanup = 8
)

// start begins a round. It is over at once if the report has a Problem.
func (c *Cleaner) start(ctx context.Context, dryRun bool) (*round, error) {
	now := c.cfg.Now()
	r := &round{report: &Report{Time: now, DryRun: dryRun}}
	policy, problem, err := c.policy(ctx, now)
	if err != nil || problem != "" {
		r.report.Problem = problem
		return r, err
	}
	secrets, err := apicall.RequireAll(c.cfg.Reader.ListSecrets(ctx, ""))
	if err != nil {
		return nil, fmt.Errorf("legacytoken: listing Secrets: %w", err)
	}
	for _, s := range secrets {
		if tokensecret.Is(s) {
			r.secrets = append(r.secrets, s)
		}
	}
	slices.SortFunc(r.secrets, func(a, b *corev1.Secret) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	r.cached = &view{policy: policy, now: now, clock: c.cfg.Now, reader: c.cfg.Reader}
	r.live = &view{policy: policy, now: now, clock: c.cfg.Now, reader: c.cfg.Client}
	return r, nil
}

// advance decides about the Secrets that are left and, unless it is a dry run, acts,
// until calls might not suffice for another one. It reports whether the round is
// over.
func (c *Cleaner) advance(ctx context.Context, r *round, calls int) (done bool, err error) {
	for ; len(r.secrets) > 0; r.secrets = r.secrets[1:] {
		if calls < callsPerCleanup {
			return false, ctx.Err()
		}
		s := r.secrets[0]
		r.secrets[0] = nil // a long round must not keep what is deleted meanwhile
		before := r.calls()
		d := Decision{Namespace: s.Namespace, Name: s.Name}
		d.Action, d.Reason, d.Err = r.cached.decide(ctx, s)
		if d.Action != Keep && !r.report.DryRun {
			d.Action, d.Reason, d.Err = c.act(ctx, r.live, s)
		}
		r.report.Decisions = append(r.report.Decisions, d)
		calls -= r.calls() - before
	}
	return true, ctx.Err()
}

func (r *round) calls() int { return r.cached.calls + r.live.calls }

// policy reads live since when use is tracked (CLN-21).
func (c *Cleaner) policy(ctx context.Context, now time.Time) (policy Policy, problem string, err error) {
	tracking, err := apicall.Get(ctx, "legacytoken", c.cfg.Client.GetConfigMap, trackingNamespace, trackingName)
	if err != nil {
		return Policy{}, "", err
	}
	if tracking == nil {
		return Policy{}, "the tracking ConfigMap does not exist", nil
	}
	value, ok := tracking.Data[trackingSinceKey]
	if !ok {
		return Policy{}, `the tracking ConfigMap has no "since"`, nil
	}
	since, err := tokensecret.ParseDay(value)
	if err != nil {
		return Policy{}, fmt.Sprintf(`the tracking ConfigMap has "since" %.40q, want a date like 2006-01-02`, value), nil
	}
	policy = Policy{Period: c.cfg.CleanupPeriod, Since: since}
	if !policy.Tracked(now) {
		return policy, fmt.Sprintf("use is tracked since %s only, want a period of %v", value, c.cfg.CleanupPeriod), nil
	}
	return policy, "", nil
}

// act decides about secret again by live reads, and acts on that.
func (c *Cleaner) act(ctx context.Context, live *view, secret *corev1.Secret) (Action, Reason, error) {
	live.calls++
	now, err := apicall.Get(ctx, "legacytoken", c.cfg.Client.GetSecret, secret.Namespace, secret.Name)
	if err != nil {
		return Keep, "", err
	}
	if now == nil || now.UID != secret.UID {
		return Keep, BeingDeleted, nil
	}
	action, reason, err := live.decide(ctx, now)
	if err != nil {
		return action, reason, err
	}
	live.calls++
	switch action {
	case Invalidate:
		patch := tokensecret.LabelPatch(now.Namespace, now.Name, now.UID, tokensecret.InvalidSinceLabel, tokensecret.FormatDay(live.now))
		_, err = contract.Require(c.cfg.Client.PatchSecret(ctx, now.Namespace, now.Name, types.MergePatchType, patch))
	case Delete:
		err = c.cfg.Client.DeleteSecret(ctx, now.Namespace, now.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion},
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || isOfAnother(err) { // CLN-31
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("legacytoken: cleaning up Secret %s/%s: %w", now.Namespace, now.Name, err)
	}
	return action, reason, err
}

// isOfAnother reports whether a patch had the UID of another object, which the API server
// takes for an attempt to change it.
func isOfAnother(err error) bool {
	e, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && e.ErrStatus.Details != nil && slices.ContainsFunc(e.ErrStatus.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

// view is what one round sees through one reader, of the Namespace that it is
// at. It reads what it needs to know once, so that a round is linear (SECURITY C06),
// and again after viewAge.
type view struct {
	policy Policy
	now    time.Time // of the round
	clock  func() time.Time
	reader interface {
		GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
		GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
		ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)
	}
	calls int

	name        string // of the Namespace
	since       time.Time
	accounts    map[string]*listingAccount // by name
	known       bool                       // what follows
	terminating bool
	mounted     map[string]bool // the names of the Secrets that its pods refer to
}

// viewAge is for how long a view may be used.
const viewAge = time.Minute

// A listingAccount is an account, or nil, and the names of the Secrets that it lists.
type listingAccount struct {
	*corev1.ServiceAccount
	lists map[string]bool
}

// decide is Policy.Decide, reading what it needs only when it needs it. What can't be
// decided is kept.
func (v *view) decide(ctx context.Context, secret *corev1.Secret) (Action, Reason, error) {
	if reason := v.policy.keeps(secret, v.now); reason != "" {
		return Keep, reason, nil
	}
	v.enter(secret.Namespace)
	account, err := v.account(ctx, secret)
	if err != nil {
		return Keep, "", err
	}
	if reason := keepsFor(secret, account.ServiceAccount, account.lists[secret.Name]); reason != "" {
		return Keep, reason, nil
	}
	action, reason := v.policy.due(secret, v.now)
	if action == Keep {
		return action, reason, nil
	}
	if err := v.readNamespace(ctx); err != nil {
		return Keep, "", err
	}
	switch {
	case v.mounted[secret.Name]:
		return Keep, Mounted, nil
	case v.terminating:
		return Keep, NamespaceTerminating, nil
	}
	return action, reason, nil
}

// enter forgets what is known of another Namespace, or for too long.
func (v *view) enter(namespace string) {
	now := v.clock()
	if age := now.Sub(v.since); v.name != namespace || age < 0 || age > viewAge {
		v.name, v.since, v.accounts, v.known, v.mounted = namespace, now, map[string]*listingAccount{}, false, nil
	}
}

// account returns the account that secret names.
func (v *view) account(ctx context.Context, secret *corev1.Secret) (*listingAccount, error) {
	name, _ := tokensecret.Owner(secret)
	if account, ok := v.accounts[name]; ok {
		return account, nil
	}
	if !names.Valid(name) {
		return &listingAccount{}, nil
	}
	v.calls++
	account, err := apicall.Get(ctx, "legacytoken", v.reader.GetServiceAccount, v.name, name)
	if err != nil {
		return nil, err
	}
	listing := &listingAccount{ServiceAccount: account}
	if account != nil {
		listing.lists = make(map[string]bool, len(account.Secrets))
		for _, r := range account.Secrets {
			listing.lists[r.Name] = true
		}
	}
	v.accounts[name] = listing
	return listing, nil
}

// readNamespace finds out what is going on in the Namespace.
func (v *view) readNamespace(ctx context.Context) error {
	if v.known {
		return nil
	}
	v.calls += 2
	namespace, err := apicall.Namespace(ctx, "legacytoken", v.reader.GetNamespace, v.name)
	if err != nil {
		return err
	}
	pods, err := apicall.RequireAll(v.reader.ListPods(ctx, v.name))
	if err != nil {
		return fmt.Errorf("legacytoken: listing the pods of Namespace %q: %w", v.name, err)
	}
	v.known, v.terminating, v.mounted = true, namespace != nil && apicall.Terminating(namespace), mountedSecrets(pods)
	return nil
}

// mountedSecrets returns the names of the Secrets that pods refer to in any way
// (CLN-26).
func mountedSecrets(pods []*corev1.Pod) map[string]bool {
	names := map[string]bool{}
	for _, pod := range pods {
		podsecrets.Visit(&pod.Spec, podsecrets.AllSources, func(r podsecrets.Reference) bool {
			names[r.Name] = true
			return true
		})
	}
	return names
}
