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
	if account, err := g.cached.GetServiceAccount(ctx, namespace, name); err == nil && account != nil {
		return account, nil
	}
	return g.live.GetServiceAccount(ctx, namespace, name)
}

func (g secretsOr) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	if secret, err := g.cached.GetSecret(ctx, namespace, name); err == nil && secret != nil {
		return secret, nil
	}
	return g.live.GetSecret(ctx, namespace, name)
}

func (g podsOr) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	if pod, err := g.cached.GetPod(ctx, namespace, name); err == nil && pod != nil {
		return pod, nil
	}
	return g.live.GetPod(ctx, namespace, name)
}

func (g nodesOr) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	if node, err := g.cached.GetNode(ctx, name); err == nil && node != nil {
		return node, nil
	}
	return g.live.GetNode(ctx, name)
}

func (g webhooksOr) GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	if webhook, err := g.cached.GetValidatingWebhookConfiguration(ctx, name); err == nil && webhook != nil {
		return webhook, nil
	}
	return g.live.GetValidatingWebhookConfiguration(ctx, name)
}

func (g webhooksOr) GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	if webhook, err := g.cached.GetMutatingWebhookConfiguration(ctx, name); err == nil && webhook != nil {
		return webhook, nil
	}
	return g.live.GetMutatingWebhookConfiguration(ctx, name)
}
