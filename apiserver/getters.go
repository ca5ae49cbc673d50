package apiserver

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	admissionregistrationv1listers "k8s.io/client-go/listers/admissionregistration/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
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

// check adds a mistake for each getter that is a typed nil, of the field called field.
func (g *Getters) check(mistakes *configerror.List, field string) {
	mistakes.Optional(field+".ServiceAccounts", g.ServiceAccounts)
	mistakes.Optional(field+".Secrets", g.Secrets)
	mistakes.Optional(field+".Pods", g.Pods)
	mistakes.Optional(field+".Nodes", g.Nodes)
	mistakes.Optional(field+".Webhooks", g.Webhooks)
	mistakes.Optional(field+".Objects", g.Objects)
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

// Listers are those of client-go, each or none.
type Listers struct {
	ServiceAccounts corev1listers.ServiceAccountLister
	Secrets         corev1listers.SecretLister
	Pods            corev1listers.PodLister
	Nodes           corev1listers.NodeLister
	// Both or neither.
	ValidatingWebhooks admissionregistrationv1listers.ValidatingWebhookConfigurationLister
	MutatingWebhooks   admissionregistrationv1listers.MutatingWebhookConfigurationLister
}

// FromListers returns Getters that read from listers, of the kinds that there are
// listers of. A lister that hasn't synced finds nothing: see [Getters.Or].
func FromListers(listers Listers) Getters {
	var g Getters
	all := listerGetter{listers}
	if listers.ServiceAccounts != nil {
		g.ServiceAccounts = all
	}
	if listers.Secrets != nil {
		g.Secrets = all
	}
	if listers.Pods != nil {
		g.Pods = all
	}
	if listers.Nodes != nil {
		g.Nodes = all
	}
	if listers.ValidatingWebhooks != nil && listers.MutatingWebhooks != nil {
		g.Webhooks = all
	}
	return g
}

// FromInformers returns Getters of ServiceAccounts, Secrets, Pods and Nodes that read
// from the informers of factory, which it adds. Start the factory.
func FromInformers(factory informers.SharedInformerFactory) Getters {
	core := factory.Core().V1()
	return FromListers(Listers{
		ServiceAccounts: core.ServiceAccounts().Lister(), Secrets: core.Secrets().Lister(), Pods: core.Pods().Lister(), Nodes: core.Nodes().Lister(),
	})
}

type listerGetter struct{ listers Listers }

func (g listerGetter) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return g.listers.ServiceAccounts.ServiceAccounts(namespace).Get(name)
}

func (g listerGetter) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return g.listers.Secrets.Secrets(namespace).Get(name)
}

func (g listerGetter) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return g.listers.Pods.Pods(namespace).Get(name)
}

func (g listerGetter) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return g.listers.Nodes.Get(name)
}

func (g listerGetter) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return g.listers.ValidatingWebhooks.Get(name)
}

func (g listerGetter) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return g.listers.MutatingWebhooks.Get(name)
}
