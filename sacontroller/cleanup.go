package sacontroller

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/podsecrets"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// The object that says since when the use of token Secrets is tracked (CST-11).
const (
	trackingNamespace = "kube-system"
	trackingName      = "kube-apiserver-legacy-service-account-token-tracking"
	trackingSinceKey  = "since"
)

// A CleanupAction is what [CleanupPolicy.Decide] decides about a token Secret.
type CleanupAction string

const (
	// CleanupKeep leaves the Secret as it is.
	CleanupKeep CleanupAction = "keep"
	// CleanupMark labels the Secret as invalid from today, which makes
	// authenticators refuse its token (CLN-29).
	CleanupMark CleanupAction = "mark"
	// CleanupDelete deletes the Secret (CLN-31).
	CleanupDelete CleanupAction = "delete"
)

// A CleanupReason is why something was decided about a token Secret.
type CleanupReason string

// The reasons. All but CleanupTerminating are those of [CleanupPolicy.Decide], in
// the order in which it looks for them.
const (
	CleanupNotTracked        CleanupReason = "use is not tracked for long enough"
	CleanupNotToken          CleanupReason = "not a token Secret"
	CleanupTooYoung          CleanupReason = "created within the clean-up period"
	CleanupBeingDeleted      CleanupReason = "being deleted"
	CleanupUnreadableUse     CleanupReason = "last-used label is not a date"
	CleanupUsed              CleanupReason = "used within the clean-up period"
	CleanupNoAccount         CleanupReason = "its account does not exist"
	CleanupNotGenerated      CleanupReason = "not listed in its account, so created by hand"
	CleanupRecentlyInvalid   CleanupReason = "marked invalid within the clean-up period"
	CleanupMounted           CleanupReason = "used by a pod"
	CleanupUnused            CleanupReason = "unused for the clean-up period"
	CleanupInvalidLongEnough CleanupReason = "unused and invalid for the clean-up period"
	CleanupTerminating       CleanupReason = "its namespace is being deleted"
)

// A CleanupPolicy says when unused token Secrets go.
type CleanupPolicy struct {
	// Period is how long a token must have been unused to be marked invalid, and
	// invalid to be deleted.
	Period time.Duration
	// Since is the day from which use is tracked.
	Since time.Time
}

// Tracked reports whether use is tracked for the whole period at now, counted
// from the day after Since (CLN-22). Until then nothing can be said to be unused.
func (p CleanupPolicy) Tracked(now time.Time) bool {
	y, m, d := p.Since.UTC().Date()
	start := time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	return !now.Before(start.Add(p.Period))
}

// Decide says what to do with secret at now, and why. account is the account that
// secret names, or nil if there is none; pods are those of its namespace, in any
// phase. It reads only its arguments and changes none of them (CLN-22..30).
func (p CleanupPolicy) Decide(secret *corev1.Secret, account *corev1.ServiceAccount, pods []*corev1.Pod, now time.Time) (CleanupAction, CleanupReason) {
	if !p.Tracked(now) {
		return CleanupKeep, CleanupNotTracked
	}
	if reason := p.keeps(secret, now); reason != "" {
		return CleanupKeep, reason
	}
	if reason := keepsFor(secret, account); reason != "" {
		return CleanupKeep, reason
	}
	action, reason := p.due(secret, now)
	if action != CleanupKeep && usedNames(pods)[secret.Name] {
		return CleanupKeep, CleanupMounted
	}
	return action, reason
}

// keeps returns why secret by itself is kept, or "" (the first half of CLN-24).
func (p CleanupPolicy) keeps(secret *corev1.Secret, now time.Time) CleanupReason {
	threshold := now.Add(-p.Period)
	lastUsed, labelled := secret.Labels[tokensecret.LastUsedLabel]
	switch {
	case !tokensecret.Is(secret):
		return CleanupNotToken
	case !secret.CreationTimestamp.Time.Before(threshold):
		return CleanupTooYoung
	case secret.DeletionTimestamp != nil:
		return CleanupBeingDeleted
	case labelled && !tokensecret.IsDay(lastUsed):
		return CleanupUnreadableUse
	case labelled && lastUsed >= tokensecret.FormatDay(threshold):
		return CleanupUsed
	}
	return "" // CLN-28
}

// keepsFor returns why secret is kept because of its account, or "" (CLN-25,
// CLN-27).
func keepsFor(secret *corev1.Secret, account *corev1.ServiceAccount) CleanupReason {
	switch {
	case account == nil || !tokensecret.BelongsTo(secret, account):
		return CleanupNoAccount
	case !tokensecret.Listed(account, secret.Name):
		return CleanupNotGenerated
	}
	return ""
}

// due decides about a Secret that nothing speaks for (CLN-29..31).
func (p CleanupPolicy) due(secret *corev1.Secret, now time.Time) (CleanupAction, CleanupReason) {
	since := secret.Labels[tokensecret.InvalidSinceLabel]
	switch {
	case !tokensecret.IsDay(since):
		return CleanupMark, CleanupUnused
	case since >= tokensecret.FormatDay(now.Add(-p.Period)):
		return CleanupKeep, CleanupRecentlyInvalid
	}
	return CleanupDelete, CleanupInvalidLongEnough
}

// usedNames returns the names of the Secrets that pods refer to (CLN-26).
func usedNames(pods []*corev1.Pod) map[string]bool {
	used := map[string]bool{}
	for _, pod := range pods {
		podsecrets.Visit(&pod.Spec, podsecrets.AllSources, func(r podsecrets.Reference) bool {
			used[r.Name] = true
			return true
		})
	}
	return used
}
