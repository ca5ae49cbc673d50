// Package webhook serves the decisions of an [admission.Plugin] to an API server:
// AdmissionReview in, JSON Patch out.
//
//	handler, err := webhook.New(plugin, webhook.Config{})
//	…
//	mux.Handle("POST /admit", handler)
//
// Register it, with TLS, for the creation of pods and for updates of
// pods/ephemeralcontainers, with admissionReviewVersions [v1] and the failure policy
// Fail.
//
// # Concepts
//
// Pods that are created get what [admission.Plugin.Admit] gives them, by a JSON Patch
// (RFC 6902) that only adds: fields that this version of the API does not know stay
// as they are. Ephemeral containers are checked as [admission.Plugin.Validate] does.
// Other requests are allowed. ServiceAccounts get the warning that Kubernetes gives
// when [admission.EnforceAnnotation] is added to them.
//
// # Failure
//
// The webhook fails closed: a review is denied if the pod is, if there is no pod to
// decide about, or if a getter panics. Retryable denials carry retryAfterSeconds.
// What is not a review gets an HTTP error, which the failure policy decides about.
//
// # Security
//
// The namespace and the operation come from the request, never from the pod. The
// body has to be strict JSON: duplicate keys, keys of the review in another case,
// invalid UTF-8 and nesting deeper than 256 are rejected. Memory is bounded by a
// small multiple of [Config.MaxBytes]; slow bodies, long decisions, and clients that
// do not read the answer by [Config.Timeout].
//
// The handler does not authenticate its clients: leave that to TLS.
package webhook
