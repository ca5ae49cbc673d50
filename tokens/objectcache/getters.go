package objectcache

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// Getters are what an Authenticator of tokens or a Requester of tokens/tokenrequest
// looks objects up with. Any may be nil.
type Getters struct {
	ServiceAccounts tokens.ServiceAccountGetter
	Secrets         tokens.SecretGetter
	Pods            tokens.PodGetter
	Nodes           tokens.NodeGetter
	Webhooks        tokens.WebhookGetter
	Objects         tokens.ObjectGetter
}

// check names each getter that is a typed nil.
func (g *Getters) check(mistakes *configerror.List) {
	mistakes.Optional("ServiceAccounts", g.ServiceAccounts)
	mistakes.Optional("Secrets", g.Secrets)
	mistakes.Optional("Pods", g.Pods)
	mistakes.Optional("Nodes", g.Nodes)
	mistakes.Optional("Webhooks", g.Webhooks)
	mistakes.Optional("Objects", g.Objects)
}

// cachedBy returns c as each getter that g has.
func (g *Getters) cachedBy(c *cachedGetters) (cached Getters) {
	if g.ServiceAccounts != nil {
		cached.ServiceAccounts = c
	}
	if g.Secrets != nil {
		cached.Secrets = c
	}
	if g.Pods != nil {
		cached.Pods = c
	}
	if g.Nodes != nil {
		cached.Nodes = c
	}
	if g.Webhooks != nil {
		cached.Webhooks = c
	}
	if g.Objects != nil {
		cached.Objects = c
	}
	return cached
}

// cachedGetters are all getters in one; its methods are called only for those that
// there are.
type cachedGetters struct {
	getters Getters
	cache   *cache
}

func (c *cachedGetters) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(ctx, c.cache, builtIn(objects.ServiceAccount, namespace, name), func(ctx context.Context) (*corev1.ServiceAccount, error) {
		return c.getters.ServiceAccounts.GetServiceAccount(ctx, namespace, name)
	})
}

func (c *cachedGetters) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(ctx, c.cache, builtIn(objects.Secret, namespace, name), func(ctx context.Context) (*corev1.Secret, error) {
		return c.getters.Secrets.GetSecret(ctx, namespace, name)
	})
}

func (c *cachedGetters) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return get(ctx, c.cache, builtIn(objects.Pod, namespace, name), func(ctx context.Context) (*corev1.Pod, error) {
		return c.getters.Pods.GetPod(ctx, namespace, name)
	})
}

func (c *cachedGetters) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return get(ctx, c.cache, builtIn(objects.Node, "", name), func(ctx context.Context) (*corev1.Node, error) {
		return c.getters.Nodes.GetNode(ctx, name)
	})
}

func (c *cachedGetters) GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return get(ctx, c.cache, builtIn(objects.ValidatingWebhook, "", name), func(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
		return c.getters.Webhooks.GetValidatingWebhookConfiguration(ctx, name)
	})
}

func (c *cachedGetters) GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return get(ctx, c.cache, builtIn(objects.MutatingWebhook, "", name), func(ctx context.Context) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
		return c.getters.Webhooks.GetMutatingWebhookConfiguration(ctx, name)
	})
}

func (c *cachedGetters) GetObject(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	return get(ctx, c.cache, key{kind: kind, namespace: namespace, name: name}, func(ctx context.Context) (metav1.Object, error) {
		return c.getters.Objects.GetObject(ctx, kind, namespace, name)
	})
}

// builtIn is the key of an object that has a getter of its own. A kind without a
// version is none of [tokens.ObjectGetter].
func builtIn(kind, namespace, name string) key {
	return key{kind: schema.GroupVersionKind{Kind: kind}, own: true, namespace: namespace, name: name}
}
