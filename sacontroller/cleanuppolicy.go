package sacontroller

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A CleanupAction is what [CleanupPolicy.Decide] decides about a token Secret.
type CleanupAction string

const (
	// CleanupKeep leaves the Secret as it is.
	CleanupKeep CleanupAction = "Keep"
	// CleanupInvalidate labels the Secret as invalid since today: authenticators
	// reject its token from now on.
	CleanupInvalidate CleanupAction = "Invalidate"
	// CleanupDelete deletes the Secret.
	CleanupDelete CleanupAction = "Delete"
)

// A CleanupReason is why a [CleanupAction] was decided.
type CleanupReason string

// The reasons, in the order in which [CleanupPolicy.Decide] looks for them. It
// doesn't know of Namespaces.
const (
	CleanupNotTracked           CleanupReason = "NotTracked"           // use is tracked for less than the period
	CleanupNotTokenSecret       CleanupReason = "NotTokenSecret"       // the type is another
	CleanupTooYoung             CleanupReason = "TooYoung"             // created within the period
	CleanupBeingDeleted         CleanupReason = "BeingDeleted"         // or deleted, or replaced by a namesake
	CleanupLastUsedInvalid      CleanupReason = "LastUsedInvalid"      // the last-used label is not a date
	CleanupUsed                 CleanupReason = "Used"                 // used within the period
	CleanupNoAccount            CleanupReason = "NoAccount"            // the ServiceAccount doesn't exist
	CleanupNotListed            CleanupReason = "NotListed"            // not listed in its account: created by hand
	CleanupRecentlyInvalidated  CleanupReason = "RecentlyInvalidated"  // invalidated within the period
	CleanupMounted              CleanupReason = "Mounted"              // a pod refers to it
	CleanupNamespaceTerminating CleanupReason = "NamespaceTerminating" // deletes it anyway
	CleanupUnused               CleanupReason = "Unused"               // for the period: invalidate
	CleanupInvalid              CleanupReason = "Invalid"              // and unused, for the period: delete
)

// A CleanupPolicy says when unused token Secrets are invalidated and deleted.
type CleanupPolicy struct {
	// Period is how long a token must have been unused to be invalidated, and
	// invalid to be deleted.
	Period time.Duration
	// Since is the day since which use is tracked.
	Since time.Time
}

// Tracked reports whether use is tracked for the whole period at now, counted
// from the day after Since. Until then no token can be said to be unused.
func (p CleanupPolicy) Tracked(now time.Time) bool { // CLN-22
	y, m, d := p.Since.UTC().Date()
	start := time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	return !now.Before(start.Add(p.Period))
}

// Decide says what to do with secret at now, and why. account is the account that
// secret names, or nil if there is none; pods are those of its namespace, in any
// phase. It is a pure function of its arguments.
func (p CleanupPolicy) Decide(secret *corev1.Secret, account *corev1.ServiceAccount, pods []*corev1.Pod, now time.Time) (CleanupAction, CleanupReason) { // CLN-22..30
	if !p.Tracked(now) {
		return CleanupKeep, CleanupNotTracked
	}
	if reason := p.keeps(secret, now); reason != "" {
		return CleanupKeep, reason
	}
	if reason := keepsFor(secret, account, tokensecret.Listed(account, secret.Name)); reason != "" {
		return CleanupKeep, reason
	}
	action, reason := p.due(secret, now)
	if action != CleanupKeep && mountedSecrets(pods)[secret.Name] {
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
		return CleanupNotTokenSecret
	case !secret.CreationTimestamp.Time.Before(threshold):
		return CleanupTooYoung
	case secret.DeletionTimestamp != nil:
		return CleanupBeingDeleted
	case labelled && !tokensecret.IsDay(lastUsed):
		return CleanupLastUsedInvalid
	case labelled && lastUsed >= tokensecret.FormatDay(threshold):
		return CleanupUsed
	}
	return "" // CLN-28
}

// keepsFor returns why secret is kept because of its account, which lists it or
// doesn't, or "" (CLN-25, CLN-27).
func keepsFor(secret *corev1.Secret, account *corev1.ServiceAccount, listed bool) CleanupReason {
	switch {
	case !tokensecret.BelongsTo(secret, account):
		return CleanupNoAccount
	case !listed:
		return CleanupNotListed
	}
	return ""
}

// due decides about a Secret that there is no reason to keep (CLN-29..31).
func (p CleanupPolicy) due(secret *corev1.Secret, now time.Time) (CleanupAction, CleanupReason) {
	since := secret.Labels[tokensecret.InvalidSinceLabel]
	switch {
	case !tokensecret.IsDay(since):
		return CleanupInvalidate, CleanupUnused
	case since >= tokensecret.FormatDay(now.Add(-p.Period)):
		return CleanupKeep, CleanupRecentlyInvalidated
	}
	return CleanupDelete, CleanupInvalid
}
