package legacytoken

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A Action is what [Policy.Decide] decides about a token Secret.
type Action string

const (
	// Keep leaves the Secret as it is.
	Keep Action = "Keep"
	// Invalidate labels the Secret as invalid since today: authenticators
	// reject its token from now on.
	Invalidate Action = "Invalidate"
	// Delete deletes the Secret.
	Delete Action = "Delete"
)

// A Reason is why a [Action] was decided.
type Reason string

// The reasons, in the order in which [Policy.Decide] looks for them. It
// doesn't know of Namespaces.
const (
	NotTracked           Reason = "NotTracked"           // use is tracked for less than the period
	NotTokenSecret       Reason = "NotTokenSecret"       // the type is another
	TooYoung             Reason = "TooYoung"             // created within the period
	BeingDeleted         Reason = "BeingDeleted"         // or deleted, or replaced by a namesake
	LastUsedInvalid      Reason = "LastUsedInvalid"      // the last-used label is not a date
	Used                 Reason = "Used"                 // used within the period
	NoAccount            Reason = "NoAccount"            // the ServiceAccount doesn't exist
	NotListed            Reason = "NotListed"            // not listed in its account: created by hand
	RecentlyInvalidated  Reason = "RecentlyInvalidated"  // invalidated within the period
	Mounted              Reason = "Mounted"              // a pod refers to it
	NamespaceTerminating Reason = "NamespaceTerminating" // deletes it anyway
	Unused               Reason = "Unused"               // for the period: invalidate
	Invalid              Reason = "Invalid"              // and unused, for the period: delete
)

// A Policy says when unused token Secrets are invalidated and deleted.
type Policy struct {
	// Period is how long a token must have been unused to be invalidated, and
	// invalid to be deleted.
	Period time.Duration
	// Since is the day since which use is tracked.
	Since time.Time
}

// Tracked reports whether use is tracked for the whole period at now, counted
// from the day after Since. Until then no token can be said to be unused.
func (p Policy) Tracked(now time.Time) bool { // CLN-22
	y, m, d := p.Since.UTC().Date()
	start := time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	return !now.Before(start.Add(p.Period))
}

// Decide says what to do with secret at now, and why. account is the account that
// secret names, or nil if there is none; pods are those of its namespace, in any
// phase. It is a pure function of its arguments.
func (p Policy) Decide(secret *corev1.Secret, account *corev1.ServiceAccount, pods []*corev1.Pod, now time.Time) (Action, Reason) { // CLN-22..30
	if !p.Tracked(now) {
		return Keep, NotTracked
	}
	if reason := p.keeps(secret, now); reason != "" {
		return Keep, reason
	}
	if reason := keepsFor(secret, account, tokensecret.Listed(account, secret.Name)); reason != "" {
		return Keep, reason
	}
	action, reason := p.due(secret, now)
	if action != Keep && mountedSecrets(pods)[secret.Name] {
		return Keep, Mounted
	}
	return action, reason
}

// keeps returns why secret by itself is kept, or "" (the first half of CLN-24).
func (p Policy) keeps(secret *corev1.Secret, now time.Time) Reason {
	threshold := now.Add(-p.Period)
	lastUsed, labelled := secret.Labels[tokensecret.LastUsedLabel]
	switch {
	case !tokensecret.Is(secret):
		return NotTokenSecret
	case !secret.CreationTimestamp.Time.Before(threshold):
		return TooYoung
	case secret.DeletionTimestamp != nil:
		return BeingDeleted
	case labelled && !tokensecret.IsDay(lastUsed):
		return LastUsedInvalid
	case lastUsed >= tokensecret.FormatDay(threshold):
		return Used
	}
	return "" // CLN-28
}

// keepsFor returns why secret is kept because of its account, which lists it or
// doesn't, or "" (CLN-25, CLN-27).
func keepsFor(secret *corev1.Secret, account *corev1.ServiceAccount, listed bool) Reason {
	switch {
	case !tokensecret.BelongsTo(secret, account):
		return NoAccount
	case !listed:
		return NotListed
	}
	return ""
}

// due decides about a Secret that there is no reason to keep (CLN-29..31).
func (p Policy) due(secret *corev1.Secret, now time.Time) (Action, Reason) {
	since := secret.Labels[tokensecret.InvalidSinceLabel]
	switch {
	case !tokensecret.IsDay(since):
		return Invalidate, Unused
	case since >= tokensecret.FormatDay(now.Add(-p.Period)):
		return Keep, RecentlyInvalidated
	}
	return Delete, Invalid
}
