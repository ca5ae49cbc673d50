package lookup

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	admissionregistrationv1listers "k8s.io/client-go/listers/admissionregistration/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
)

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

// ReadsInformers tells admission plugins that what they were given is no live getter.
func (listerGetter) ReadsInformers() {}

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
