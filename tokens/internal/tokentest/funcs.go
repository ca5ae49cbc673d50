package tokentest

import (
	"context"
	"errors"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/keys"
)

// A SourceFunc returns the same keys for every id.
type SourceFunc func() []keys.PublicKey

// PublicKeys implements [keys.Source].
func (f SourceFunc) PublicKeys(context.Context, string) ([]keys.PublicKey, error) { return f(), nil }

// A FailingSource can't be consulted.
type FailingSource struct{}

// PublicKeys implements [keys.Source].
func (FailingSource) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	return nil, errors.New("no connection")
}

// A SignerFunc is a [keys.Signer].
type SignerFunc func(ctx context.Context, payload []byte) (string, error)

// Sign implements [keys.Signer].
func (f SignerFunc) Sign(ctx context.Context, payload []byte) (string, error) { return f(ctx, payload) }

// An AccountFunc gets the same account for every name.
type AccountFunc func(ctx context.Context) (*corev1.ServiceAccount, error)

// GetServiceAccount implements [tokens.ServiceAccountGetter].
func (f AccountFunc) GetServiceAccount(ctx context.Context, _, _ string) (*corev1.ServiceAccount, error) {
	return f(ctx)
}

// Nothing is every getter, and returns neither an object nor an error: a typed
// nil of the method's type, or of Object.
type Nothing struct{ Object metav1.Object }

func (Nothing) GetServiceAccount(context.Context, string, string) (*corev1.ServiceAccount, error) {
	return nil, nil
}
func (Nothing) GetSecret(context.Context, string, string) (*corev1.Secret, error) { return nil, nil }
func (Nothing) GetPod(context.Context, string, string) (*corev1.Pod, error)       { return nil, nil }
func (Nothing) GetNode(context.Context, string) (*corev1.Node, error)             { return nil, nil }
func (Nothing) GetValidatingWebhookConfiguration(context.Context, string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return nil, nil
}
func (Nothing) GetMutatingWebhookConfiguration(context.Context, string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return nil, nil
}
func (n Nothing) GetObject(context.Context, schema.GroupVersionKind, string, string) (metav1.Object, error) {
	return n.Object, nil
}
