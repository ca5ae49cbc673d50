package tokens

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// The getters below look up the objects that a token speaks of. They have the
// names and shapes of Kubernetes' own, return a NotFound error of
// k8s.io/apimachinery for an object that does not exist, and any other error
// when they could not tell. They must be safe for concurrent use. What they
// return is only read.

// A ServiceAccountGetter reads ServiceAccounts by name.
type ServiceAccountGetter interface {
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// A SecretGetter reads Secrets by name.
type SecretGetter interface {
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// A PodGetter reads Pods by name.
type PodGetter interface {
	GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
}

// A NodeGetter reads Nodes by name.
type NodeGetter interface {
	GetNode(ctx context.Context, name string) (*corev1.Node, error)
}

// A WebhookGetter reads the webhook configurations that tokens can be bound to,
// an alpha feature of Kubernetes 1.37.
type WebhookGetter interface {
	GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error)
	GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error)
}
