// Package legacytoken retires the unused tokens in generated Secrets, as the legacy
// token controllers of Kubernetes do.
//
//	cleaner, err := legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: c, Client: c})
//	…
//	tracker, err := legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: c, Client: c})
//	…
//	err = c.Settle(ctx, cleaner, tracker) // c is a fake.Cluster
//
// # Concepts
//
// Both are a [sacontroller.Controller]. Authenticators label a token Secret with the
// day on which its token was last used; package tokens/lastused does so. A [Tracker],
// which runs where tokens are authenticated, keeps the ConfigMap that says since when.
// Once that is a whole period ago, a [Cleaner] labels the Secrets that were unused for
// the period as invalid, so that authenticators reject their tokens, and a period
// later it deletes them. Until then, taking the label off makes a token valid again.
//
// Only Secrets that their account lists are retired, which those generated up to
// Kubernetes v1.23 are. One that a pod refers to stays. [Policy.Decide] is the rule
// as a pure function, and [Cleaner.Report] tells what a round would do.
//
// Package sacontroller says what a [CleanerReader], a [CleanerClient] and those of a
// Tracker promise, and how many tenants are served.
//
// # Failure
//
// A Secret that can't be invalidated or deleted waits for the next round, and is in
// the [Report]. A round fails as a whole only if nothing can be decided. Before it
// acts, it decides again by live reads, so that a stale cache costs no Secret.
package legacytoken
