package sacontroller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The interfaces below are what the controllers need of a store of Kubernetes
// objects: a Reader to decide from, which may be a cache, and a Client that is
// live. They promise the same everywhere:
//
//   - Errors are those of the Kubernetes API, as k8s.io/apimachinery's errors
//     package tells them apart: NotFound, AlreadyExists, Conflict, and a
//     Forbidden with cause NamespaceTerminating for a create in a namespace
//     that is being deleted. Any other error means: try again.
//   - A returned object is never nil when the error is nil, and it is read
//     only: the controllers change deep copies.
//   - An update whose object carries a resourceVersion fails with Conflict if
//     the stored object has another one. A delete and a patch honour their UID
//     and resourceVersion preconditions the same way.
//   - They are safe for concurrent use and honour the context.
//
// fake.Cluster implements all of them, and so does what serviceaccount.FromCoreV1
// makes of client-go's CoreV1().

// A NamespaceGetter reads Namespaces by name.
type NamespaceGetter interface {
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
}

// A NamespaceLister lists all Namespaces.
type NamespaceLister interface {
	ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error)
}

// A ServiceAccountGetter reads ServiceAccounts by name.
type ServiceAccountGetter interface {
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// A ServiceAccountCreator creates ServiceAccounts.
type ServiceAccountCreator interface {
	CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
}

// A ServiceAccountUpdater replaces ServiceAccounts.
type ServiceAccountUpdater interface {
	UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)
}

// A SecretGetter reads Secrets by name.
type SecretGetter interface {
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// A TokenSecretLister finds the token Secrets of an account without reading the
// rest of the namespace.
type TokenSecretLister interface {
	// TokenSecrets returns the Secrets of namespace that have the type
	// kubernetes.io/service-account-token and whose annotation
	// kubernetes.io/service-account.name is serviceAccountName, in the order of
	// their names. It doesn't look at the UID annotation. Its cost should not
	// grow with the namespace: keep an index. An annotation may be any text of
	// up to 256 KiB; Secrets whose annotation can't be the name of an account
	// need not be found.
	TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error)
}

// A SecretCreator creates Secrets.
type SecretCreator interface {
	CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
}

// A SecretUpdater replaces Secrets.
type SecretUpdater interface {
	UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
}

// A SecretDeleter deletes Secrets.
type SecretDeleter interface {
	DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// A SecretPatcher patches Secrets.
type SecretPatcher interface {
	PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error)
}

// A ServiceAccountsReader is what [ServiceAccounts] decides from.
type ServiceAccountsReader interface {
	NamespaceGetter
	ServiceAccountGetter
}

// A ServiceAccountsClient is what [ServiceAccounts] writes through.
type ServiceAccountsClient interface {
	ServiceAccountCreator
}

// A TokensReader is what [Tokens] decides from.
type TokensReader interface {
	ServiceAccountGetter
	SecretGetter
	TokenSecretLister
}

// A TokensClient is what [Tokens] writes through, and reads from before it
// deletes or dereferences anything.
type TokensClient interface {
	ServiceAccountGetter
	ServiceAccountUpdater
	SecretGetter
	SecretCreator
	SecretUpdater
	SecretDeleter
}

// A SecretLister lists Secrets.
type SecretLister interface {
	// ListSecrets returns the Secrets of namespace, or all if it is empty. A
	// Reader of this package may leave out those that are no token Secrets.
	ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error)
}

// A PodLister lists Pods.
type PodLister interface {
	// ListPods returns the Pods of namespace, or all if it is empty.
	ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error)
}

// A ConfigMapGetter reads ConfigMaps by name.
type ConfigMapGetter interface {
	GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
}

// A ConfigMapCreator creates ConfigMaps.
type ConfigMapCreator interface {
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// A ConfigMapUpdater replaces ConfigMaps.
type ConfigMapUpdater interface {
	UpdateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) (*corev1.ConfigMap, error)
}

// A LegacyTokenCleanerReader is what [LegacyTokenCleaner] decides from.
type LegacyTokenCleanerReader interface {
	NamespaceGetter
	ServiceAccountGetter
	SecretLister
	PodLister
}

// A LegacyTokenCleanerClient is what [LegacyTokenCleaner] writes through, and
// reads from before it marks or deletes anything.
type LegacyTokenCleanerClient interface {
	ConfigMapGetter
	NamespaceGetter
	ServiceAccountGetter
	PodLister
	SecretGetter
	SecretPatcher
	SecretDeleter
}

// A LegacyTokenTrackerClient is what [LegacyTokenTracker] writes through.
type LegacyTokenTrackerClient interface {
	ConfigMapCreator
	ConfigMapUpdater
}

// A RootCAPublisherReader is what [RootCAPublisher] decides from.
type RootCAPublisherReader interface {
	NamespaceGetter
	ConfigMapGetter
}

// A RootCAPublisherClient is what [RootCAPublisher] writes through.
type RootCAPublisherClient interface {
	ConfigMapCreator
	ConfigMapUpdater
}
