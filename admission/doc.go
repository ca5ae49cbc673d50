// Package admission decides about pods as the ServiceAccount admission plugin of
// Kubernetes does: it gives each new pod the account it runs as, the token volume with
// its mounts, and the account's image pull secrets, and refuses pods that may not
// have what they ask for.
//
//	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts})
//	…
//	err = plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod})
//
// # Concepts
//
// [Plugin.Admit] changes a pod that is about to be created and checks it.
// [Plugin.Validate] only checks: pods that others may have changed since, and
// updates of the ephemeral containers of pods. Both look the account up, once, and
// then do what the pure functions [Mutate] and [Check] do with what was found: use
// those where the account is at hand. [Plugin.Plan] says what Admit would do, and why.
// [NewHandler] makes a webhook of a Plugin.
//
// The token comes from one of two places, as [Config] says. With [Projected], which
// is what Kubernetes does today, the pod gets a volume that asks the kubelet for a
// token bound to the pod. With [SecretBacked], as in the Kubernetes of before v1.21,
// it gets the first token Secret that its account lists.
//
// A pod may opt out of the token, or its account for all of its pods, with
// automountServiceAccountToken. Mirror pods, through which kubelets show their static
// pods, are never changed, and may use neither accounts nor Secrets.
//
// # Failure
//
// A refusal is a *[k8s.io/apimachinery/pkg/api/errors.StatusError] with the status
// that Kubernetes gives, and a refused pod is left as it was. Nothing is let through
// because a lookup failed. Refusals that may heal have retryAfterSeconds in their
// details: a failed lookup, an account "default" that is not there yet though its
// namespace is, and an account that has no token Secret yet.
//
// For the account "default" of a new namespace Admit waits: up to ten tries, for at
// most [Config.WaitTimeout] and as long as the context allows.
//
// # Security
//
// An account with the annotation [EnforceAnnotation] limits the Secrets that its pods
// may refer to. Kubernetes overlooks some references: those of projected, CSI and
// other volumes. It also takes a volume for the token volume by its name alone, and
// compares mount paths letter by letter. [Config.Strict] closes these gaps and is
// recommended wherever nothing depends on them.
//
// No Secret's content is ever read: only names, types and annotations are.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, and of v1.20 for SecretBacked, but for
// these: a refused lookup and a refused ephemeral container are 403s, not errors
// without a status; the wait for the default account ends with the context; there
// is one lookup per request, not two; refusals that may heal say so. Pods are those
// of the v1 API: the two fields of the account's name are made the same first, as
// its defaulting does.
package admission
