package sacontroller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/podsecrets"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A CleanupReport tells of one round of a [LegacyTokenCleaner].
type CleanupReport struct {
	Time   time.Time
	DryRun bool
	// Problem says why the round decided nothing. It is empty if it did.
	Problem string
	// Decisions has one for each token Secret, in the order of namespace and name.
	Decisions []CleanupDecision
}

// A CleanupDecision is what a round decided about one token Secret.
type CleanupDecision struct {
	Namespace, Name string
	Action          CleanupAction
	Reason          CleanupReason
	// Err is why Action wasn't done, or couldn't be decided. It is nil in a dry run
	// and if the Secret was deleted or changed meanwhile.
	Err error
}

// round decides about every token Secret and, unless dryRun, acts.
func (c *LegacyTokenCleaner) round(ctx context.Context, dryRun bool) (*CleanupReport, error) {
	report := &CleanupReport{Time: c.now(), DryRun: dryRun}
	policy, problem, err := c.policy(ctx, report.Time)
	if err != nil || problem != "" {
		report.Problem = problem
		return report, err
	}
	secrets, err := requireObjects(c.reader.ListSecrets(ctx, ""))
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
		d := CleanupDecision{Namespace: s.Namespace, Name: s.Name}
		d.Action, d.Reason, d.Err = cached.decide(ctx, s)
		if d.Action != CleanupKeep && d.Err == nil && !dryRun {
			d.Action, d.Reason, d.Err = c.act(ctx, live, s)
		}
		report.Decisions = append(report.Decisions, d)
	}
	return report, ctx.Err()
}

// policy reads live since when use is tracked (CLN-21).
func (c *LegacyTokenCleaner) policy(ctx context.Context, now time.Time) (policy CleanupPolicy, problem string, err error) {
	tracking, err := getIfExists(ctx, c.client.GetConfigMap, trackingNamespace, trackingName)
	if err != nil {
		return CleanupPolicy{}, "", err
	}
	if tracking == nil {
		return CleanupPolicy{}, "the tracking ConfigMap does not exist", nil
	}
	value, ok := tracking.Data[trackingSinceKey]
	if !ok {
		return CleanupPolicy{}, `the tracking ConfigMap has no "since"`, nil
	}
	since, err := tokensecret.ParseDay(value)
	if err != nil {
		return CleanupPolicy{}, fmt.Sprintf(`the tracking ConfigMap has "since" %.40q, want a date like 2006-01-02`, value), nil
	}
	policy = CleanupPolicy{Period: c.period, Since: since}
	if !policy.Tracked(now) {
		return policy, fmt.Sprintf("use is tracked since %s only, want a period of %v", value, c.period), nil
	}
	return policy, "", nil
}

// act decides about secret again by live reads, and acts on that.
func (c *LegacyTokenCleaner) act(ctx context.Context, live *cleanupView, secret *corev1.Secret) (CleanupAction, CleanupReason, error) {
	now, err := getIfExists(ctx, c.client.GetSecret, secret.Namespace, secret.Name)
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
	case CleanupInvalidate:
		patch := tokensecret.LabelPatch(now.Namespace, now.Name, now.UID, tokensecret.InvalidSinceLabel, tokensecret.FormatDay(live.now))
		_, err = requireObject(c.client.PatchSecret(ctx, now.Namespace, now.Name, types.MergePatchType, patch))
	case CleanupDelete:
		err = c.client.DeleteSecret(ctx, now.Namespace, now.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion},
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // CLN-31
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("sacontroller: cleaning up Secret %s/%s: %w", now.Namespace, now.Name, err)
	}
	return action, reason, err
}

// cleanupView is what one round sees through one reader. It reads what it needs to
// know of a namespace once, so that a round is linear (SECURITY C06).
type cleanupView struct {
	policy CleanupPolicy
	now    time.Time
	reader interface {
		GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
		GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
		ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)
	}
	namespaces map[string]cleanupNamespace
}

type cleanupNamespace struct {
	terminating bool
	mounted     map[string]bool // the names of the Secrets that its pods refer to
}

// decide is CleanupPolicy.Decide, reading what it needs only when it needs it.
func (v *cleanupView) decide(ctx context.Context, secret *corev1.Secret) (CleanupAction, CleanupReason, error) {
	if reason := v.policy.keeps(secret, v.now); reason != "" {
		return CleanupKeep, reason, nil
	}
	name, _ := tokensecret.Owner(secret)
	if name == "" {
		return CleanupKeep, CleanupNoAccount, nil
	}
	account, err := getIfExists(ctx, v.reader.GetServiceAccount, secret.Namespace, name)
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
	case namespace.mounted[secret.Name]:
		return CleanupKeep, CleanupMounted, nil
	case namespace.terminating:
		return CleanupKeep, CleanupNamespaceTerminating, nil
	}
	return action, reason, nil
}

func (v *cleanupView) namespace(ctx context.Context, name string) (cleanupNamespace, error) {
	if ns, ok := v.namespaces[name]; ok {
		return ns, nil
	}
	namespace, err := namespaceIfExists(ctx, v.reader, name)
	if err != nil {
		return cleanupNamespace{}, err
	}
	pods, err := requireObjects(v.reader.ListPods(ctx, name))
	if err != nil {
		return cleanupNamespace{}, fmt.Errorf("sacontroller: listing the pods of Namespace %q: %w", name, err)
	}
	ns := cleanupNamespace{terminating: namespace != nil && isTerminating(namespace), mounted: mountedSecrets(pods)}
	if v.namespaces == nil {
		v.namespaces = map[string]cleanupNamespace{}
	}
	v.namespaces[name] = ns
	return ns, nil
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
