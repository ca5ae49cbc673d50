// Package admission decides about pods as the ServiceAccount admission plugin of
// Kubernetes does: each new pod gets the account it runs as, the token volume with
// its mounts, and the account's image pull secrets; pods that may not have what
// they ask for are denied.
//
//	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts})
//	…
//	err = plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod})
//
// # Concepts
//
// [Plugin.Admit] changes and checks a pod that is about to be created.
// [Plugin.Validate] only checks: pods that other plugins may have changed since, and
// updates of the ephemeral containers of pods. Each looks the account up once.
//
// Both come from one [Decision], which [Plugin.Decide] returns: a list of edits to
// the pod, each with its reason. [Decision.Apply] makes them, [Decision.String]
// explains them, and the package webhook writes them as a JSON Patch.
//
// [Mutate] and [Check] do the same without any I/O, where the account is at hand.
//
// [Config.TokenVolume] says where tokens come from. With [Projected], as in Kubernetes
// today, the pod gets a volume for which the kubelet requests a token bound to the
// pod. With [SecretBacked], as in Kubernetes up to v1.20, it gets the first token
// Secret that its account lists.
//
// A pod opts out of the token, or an account for all of its pods, with
// automountServiceAccountToken. Mirror pods, through which kubelets show their static
// pods, are never changed, and may use neither accounts nor Secrets.
//
// A pod can get tokens for other audiences, too: a [furthervolume.Volume] says which pods
// get one, with which environment variables, as the webhooks of cloud providers do. No
// volume that projects a token for another audience is ever mounted.
//
// # Failure
//
// A denial is a *[k8s.io/apimachinery/pkg/api/errors.StatusError] with the status
// that Kubernetes gives, and the pod is left as it was. A failed lookup denies the
// pod. Retryable denials carry retryAfterSeconds in their details: a failed lookup,
// an account "default" that a controller has yet to create in its namespace, and an
// account that has no token Secret yet.
//
// For the account "default" of a new namespace Admit waits: up to ten tries, for at
// most [Config.WaitTimeout], and no longer than the context of the request.
//
// A decision takes time that is linear in the size of the pod and its account, and
// ends with the context.
//
// # Security
//
// An account with the annotation [EnforceAnnotation] limits the Secrets that its pods
// may refer to. Kubernetes overlooks some references: those of projected, CSI and
// other volumes. It also recognizes the token volume by its name alone, and compares
// mount paths byte for byte. [Config.Strict] closes these gaps and is recommended
// unless something depends on them.
//
// Getters are never asked for names that no object can have, such as "../x".
//
// No Secret's content is ever read: only names, types and annotations are.
//
// # Compatibility
//
// The behaviour is that of Kubernetes v1.37, and of v1.20 for SecretBacked, with
// these differences: a forbidden lookup and a denied ephemeral container are 403s,
// not errors without a status; the wait for the default account ends with the
// context; the account is looked up once per request, not twice; retryable denials
// carry retryAfterSeconds; a volume that projects a token for another audience is not
// mounted; of the Secrets that an account lists, at most 32 are read. Pods are those
// of the v1 API: an account's name in the deprecated field counts if the other is empty,
// as in the API's defaulting.
package admission
