package lookup

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
)

// Getters look up the objects that tokens and pods depend on. A kind without a getter
// isn't there: no token can be bound to it.
type Getters struct {
	ServiceAccounts tokens.ServiceAccountGetter
	Secrets         tokens.SecretGetter
	Pods            tokens.PodGetter
	Nodes           tokens.NodeGetter
	Webhooks        tokens.WebhookGetter
	Objects         tokens.ObjectGetter
}

// Or returns Getters of the kinds that live has, which ask live if g has no getter of a
// kind, or if that returns an error: so do the getters of kube-apiserver, from caches
// that may be stale.
func (g Getters) Or(live Getters) Getters {
	or := live
	if g.ServiceAccounts != nil && live.ServiceAccounts != nil {
		or.ServiceAccounts = accountsOr{g.ServiceAccounts, live.ServiceAccounts}
	}
	if g.Secrets != nil && live.Secrets != nil {
		or.Secrets = secretsOr{g.Secrets, live.Secrets}
	}
	if g.Pods != nil && live.Pods != nil {
		or.Pods = podsOr{g.Pods, live.Pods}
	}
	if g.Nodes != nil && live.Nodes != nil {
		or.Nodes = nodesOr{g.Nodes, live.Nodes}
	}
	if g.Webhooks != nil && live.Webhooks != nil {
		or.Webhooks = webhooksOr{g.Webhooks, live.Webhooks}
	}
	return or
}

type (
	accountsOr struct{ cached, live tokens.ServiceAccountGetter }
	secretsOr  struct{ cached, live tokens.SecretGetter }
	podsOr     struct{ cached, live tokens.PodGetter }
	nodesOr    struct{ cached, live tokens.NodeGetter }
	webhooksOr struct{ cached, live tokens.WebhookGetter }
)

func (g accountsOr) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return namespaced(ctx, namespace, name, g.cached.GetServiceAccount, g.live.GetServiceAccount)
}

func (g secretsOr) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return namespaced(ctx, namespace, name, g.cached.GetSecret, g.live.GetSecret)
}

func (g podsOr) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return namespaced(ctx, namespace, name, g.cached.GetPod, g.live.GetPod)
}

func (g nodesOr) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return clusterWide(ctx, name, g.cached.GetNode, g.live.GetNode)
}

func (g webhooksOr) GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return clusterWide(ctx, name, g.cached.GetValidatingWebhookConfiguration, g.live.GetValidatingWebhookConfiguration)
}

func (g webhooksOr) GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return clusterWide(ctx, name, g.cached.GetMutatingWebhookConfiguration, g.live.GetMutatingWebhookConfiguration)
}

// clusterWide returns what cached finds, or else what live does.
func clusterWide[T any](ctx context.Context, name string, cached, live func(context.Context, string) (*T, error)) (*T, error) {
	if object, err := cached(ctx, name); err == nil && object != nil {
		return object, nil
	}
	return live(ctx, name)
}

// namespaced does the same for an object in a namespace.
func namespaced[T any](ctx context.Context, namespace, name string, cached, live func(context.Context, string, string) (*T, error)) (*T, error) {
	in := func(get func(context.Context, string, string) (*T, error)) func(context.Context, string) (*T, error) {
		return func(ctx context.Context, name string) (*T, error) { return get(ctx, namespace, name) }
	}
	return clusterWide(ctx, name, in(cached), in(live))
}
