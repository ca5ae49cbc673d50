package lookup

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/lastused"
)

// Storage is the server's own storage, such as stores of its generic registry, each or
// none.
type Storage struct {
	ServiceAccounts rest.Getter
	Secrets         rest.Getter // a rest.Patcher too, to record the use of Secret-based tokens
	Pods            rest.Getter
	Nodes           rest.Getter
	// Both or neither.
	ValidatingWebhooks rest.Getter
	MutatingWebhooks   rest.Getter
}

// FromStorage returns Getters that read live from storage, of the kinds that there is
// storage of, without another request to the server: there is neither authorization nor
// admission. What is in the context of a request, such as a tenant, is in that of the
// storage too.
//
// scheme has the internal types, if the server has any; it may be nil.
func FromStorage(scheme *runtime.Scheme, storage Storage) Getters {
	var g Getters
	core, webhooks := corev1.SchemeGroupVersion, admissionregistrationv1.SchemeGroupVersion
	if storage.ServiceAccounts != nil {
		g.ServiceAccounts = storedAccounts{objects.NewResource[corev1.ServiceAccount](scheme, storage.ServiceAccounts, "serviceaccounts", core.WithKind("ServiceAccount"))}
	}
	if storage.Secrets != nil {
		g.Secrets = storedSecrets{objects.NewResource[corev1.Secret](scheme, storage.Secrets, "secrets", core.WithKind("Secret"))}
	}
	if storage.Pods != nil {
		g.Pods = storedPods{objects.NewResource[corev1.Pod](scheme, storage.Pods, "pods", core.WithKind("Pod"))}
	}
	if storage.Nodes != nil {
		g.Nodes = storedNodes{objects.NewResource[corev1.Node](scheme, storage.Nodes, "nodes", core.WithKind("Node"))}
	}
	if storage.ValidatingWebhooks != nil && storage.MutatingWebhooks != nil {
		g.Webhooks = storedWebhooks{
			objects.NewResource[admissionregistrationv1.ValidatingWebhookConfiguration](scheme, storage.ValidatingWebhooks, "validatingwebhookconfigurations", webhooks.WithKind("ValidatingWebhookConfiguration")),
			objects.NewResource[admissionregistrationv1.MutatingWebhookConfiguration](scheme, storage.MutatingWebhooks, "mutatingwebhookconfigurations", webhooks.WithKind("MutatingWebhookConfiguration")),
		}
	}
	return g
}

type storedAccounts struct {
	resource objects.Resource[corev1.ServiceAccount, *corev1.ServiceAccount]
}

func (s storedAccounts) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return s.resource.Get(ctx, namespace, name)
}

type storedSecrets struct {
	resource objects.Resource[corev1.Secret, *corev1.Secret]
}

func (s storedSecrets) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return s.resource.Get(ctx, namespace, name)
}

var _ lastused.SecretPatcher = storedSecrets{}

func (s storedSecrets) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	return s.resource.Patch(ctx, namespace, name, pt, data)
}

type storedPods struct {
	resource objects.Resource[corev1.Pod, *corev1.Pod]
}

func (s storedPods) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return s.resource.Get(ctx, namespace, name)
}

type storedNodes struct {
	resource objects.Resource[corev1.Node, *corev1.Node]
}

func (s storedNodes) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return s.resource.Get(ctx, "", name)
}

// Cached returns what reads nodes from the watch cache of the storage.
func (s storedNodes) Cached() tokens.NodeGetter { return storedNodes{s.resource.Cached()} }

type storedWebhooks struct {
	validating objects.Resource[admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.ValidatingWebhookConfiguration]
	mutating   objects.Resource[admissionregistrationv1.MutatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration]
}

func (s storedWebhooks) GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return s.validating.Get(ctx, "", name)
}

func (s storedWebhooks) GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return s.mutating.Get(ctx, "", name)
}
