package controllerruntime_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	serviceaccount "github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// core is a client of controller-runtime in the shape of client-go's CoreV1().
type core struct{ client client.Client }

func (c core) Namespaces() resource[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace, *corev1.NamespaceList] {
	return resource[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace, *corev1.NamespaceList]{c.client, ""}
}
func (c core) Nodes() resource[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList] {
	return resource[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList]{c.client, ""}
}
func (c core) ServiceAccounts(ns string) resource[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return resource[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList]{c.client, ns}
}
func (c core) Secrets(ns string) resource[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList] {
	return resource[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList]{c.client, ns}
}
func (c core) Pods(ns string) resource[corev1.Pod, corev1.PodList, *corev1.Pod, *corev1.PodList] {
	return resource[corev1.Pod, corev1.PodList, *corev1.Pod, *corev1.PodList]{c.client, ns}
}
func (c core) ConfigMaps(ns string) resource[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList] {
	return resource[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList]{c.client, ns}
}

// resource is a serviceaccount.Resource.
type resource[T, L any, P object[T], PL list[L]] struct {
	client    client.Client
	namespace string
}

type object[T any] interface {
	*T
	client.Object
}

type list[L any] interface {
	*L
	client.ObjectList
}

// copyOf returns a copy of o, as client-go's clients leave what they are given
// alone, and controller-runtime's don't.
func (r resource[T, L, P, PL]) copyOf(o *T) P {
	if o == nil {
		return nil
	}
	return P(o).DeepCopyObject().(P)
}

func (r resource[T, L, P, PL]) Create(ctx context.Context, o *T, _ metav1.CreateOptions) (*T, error) {
	sent := r.copyOf(o)
	return sent, r.client.Create(ctx, sent)
}

func (r resource[T, L, P, PL]) Update(ctx context.Context, o *T, _ metav1.UpdateOptions) (*T, error) {
	sent := r.copyOf(o)
	return sent, r.client.Update(ctx, sent)
}

func (r resource[T, L, P, PL]) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return r.client.Delete(ctx, r.named(name), &client.DeleteOptions{
		GracePeriodSeconds: opts.GracePeriodSeconds, DryRun: opts.DryRun,
		Preconditions: opts.Preconditions, PropagationPolicy: opts.PropagationPolicy,
	})
}

func (r resource[T, L, P, PL]) Get(ctx context.Context, name string, _ metav1.GetOptions) (*T, error) {
	found := P(new(T))
	return found, r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, found)
}

func (r resource[T, L, P, PL]) List(ctx context.Context, opts metav1.ListOptions) (*L, error) {
	found := PL(new(L))
	return found, r.client.List(ctx, found, &client.ListOptions{Namespace: r.namespace, Raw: &opts})
}

func (r resource[T, L, P, PL]) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*T, error) {
	patched := r.named(name)
	return patched, r.client.Patch(ctx, patched, client.RawPatch(pt, data))
}

func (r resource[T, L, P, PL]) named(name string) P {
	o := P(new(T))
	o.SetNamespace(r.namespace)
	o.SetName(name)
	return o
}

// The client keeps the promises of the Cluster behind it.
func TestPromises(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Cluster {
		c, _ := world(t)
		return serviceaccount.FromCoreV1(core{c})
	})
}
