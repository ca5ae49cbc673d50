package clustertest_test

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/clustertest"
)

type object interface {
	metav1.Object
	runtime.Object
}

type pointer[T any] interface {
	*T
	object
}

// A call is one call of a Cluster, whichever the kind.
type call struct {
	ctx             context.Context
	verb, resource  string
	namespace, name string
	sent            object               // of a create and an update
	opts            metav1.DeleteOptions // of a delete
	patchType       types.PatchType
	patch           []byte
}

// An answer is what comes of a call. A list has found.
type answer struct {
	one   object
	found []object
	err   error
}

// broken is a Cluster whose calls go through a func that can break them.
type broken struct {
	good clustertest.Cluster
	via  func(c call, do func(call) answer) answer
}

func written[P pointer[T], T any](b broken, ctx context.Context, verb, resource string, sent P, do func(context.Context, P) (P, error)) (P, error) {
	c := call{ctx: ctx, verb: verb, resource: resource, namespace: sent.GetNamespace(), name: sent.GetName(), sent: sent}
	return single[P](b.via(c, func(c call) answer { return answerOf(do(c.ctx, c.sent.(P))) }))
}

func read[P pointer[T], T any](b broken, ctx context.Context, resource, namespace, name string, do func(context.Context, string, string) (P, error)) (P, error) {
	c := call{ctx: ctx, verb: "get", resource: resource, namespace: namespace, name: name}
	return single[P](b.via(c, func(c call) answer { return answerOf(do(c.ctx, c.namespace, c.name)) }))
}

func listed[P pointer[T], T any](b broken, ctx context.Context, resource, namespace, name string, do func(context.Context, string, string) ([]P, error)) ([]P, error) {
	c := call{ctx: ctx, verb: "list", resource: resource, namespace: namespace, name: name}
	a := b.via(c, func(c call) answer {
		list, err := do(c.ctx, c.namespace, c.name)
		a := answer{err: err}
		for _, o := range list {
			a.found = append(a.found, o)
		}
		return a
	})
	var list []P
	for _, o := range a.found {
		list = append(list, o.(P))
	}
	return list, a.err
}

func (b broken) deleted(ctx context.Context, resource, namespace, name string, opts metav1.DeleteOptions, do func(context.Context, string, string, metav1.DeleteOptions) error) error {
	c := call{ctx: ctx, verb: "delete", resource: resource, namespace: namespace, name: name, opts: opts}
	return b.via(c, func(c call) answer { return answer{err: do(c.ctx, c.namespace, c.name, c.opts)} }).err
}

func patched[P pointer[T], T any](b broken, ctx context.Context, resource, namespace, name string, pt types.PatchType, data []byte, do func(context.Context, string, string, types.PatchType, []byte) (P, error)) (P, error) {
	c := call{ctx: ctx, verb: "patch", resource: resource, namespace: namespace, name: name, patchType: pt, patch: data}
	return single[P](b.via(c, func(c call) answer { return answerOf(do(c.ctx, c.namespace, c.name, c.patchType, c.patch)) }))
}

func answerOf[P pointer[T], T any](one P, err error) answer {
	if one == nil {
		return answer{err: err}
	}
	return answer{one: one, err: err}
}

func single[P pointer[T], T any](a answer) (P, error) {
	if a.one == nil {
		return nil, a.err
	}
	return a.one.(P), a.err
}

// global makes a call by name look like one by namespace and name.
func global[R any](do func(context.Context, string) (R, error)) func(context.Context, string, string) (R, error) {
	return func(ctx context.Context, _, name string) (R, error) { return do(ctx, name) }
}

func globalDelete(do func(context.Context, string, metav1.DeleteOptions) error) func(context.Context, string, string, metav1.DeleteOptions) error {
	return func(ctx context.Context, _, name string, opts metav1.DeleteOptions) error { return do(ctx, name, opts) }
}

// inNamespace makes a list look like a call by namespace and name.
func inNamespace[R any](do func(context.Context, string) (R, error)) func(context.Context, string, string) (R, error) {
	return func(ctx context.Context, namespace, _ string) (R, error) { return do(ctx, namespace) }
}

func (b broken) CreateNamespace(ctx context.Context, o *corev1.Namespace) (*corev1.Namespace, error) {
	return written(b, ctx, "create", "namespaces", o, b.good.CreateNamespace)
}
func (b broken) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return read(b, ctx, "namespaces", "", name, global(b.good.GetNamespace))
}
func (b broken) ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	return listed(b, ctx, "namespaces", "", "", func(ctx context.Context, _, _ string) ([]*corev1.Namespace, error) { return b.good.ListNamespaces(ctx) })
}
func (b broken) DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "namespaces", "", name, opts, globalDelete(b.good.DeleteNamespace))
}
func (b broken) CreateNode(ctx context.Context, o *corev1.Node) (*corev1.Node, error) {
	return written(b, ctx, "create", "nodes", o, b.good.CreateNode)
}
func (b broken) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return read(b, ctx, "nodes", "", name, global(b.good.GetNode))
}
func (b broken) DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "nodes", "", name, opts, globalDelete(b.good.DeleteNode))
}
func (b broken) CreateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return written(b, ctx, "create", "serviceaccounts", o, b.good.CreateServiceAccount)
}
func (b broken) UpdateServiceAccount(ctx context.Context, o *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	return written(b, ctx, "update", "serviceaccounts", o, b.good.UpdateServiceAccount)
}
func (b broken) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return read(b, ctx, "serviceaccounts", namespace, name, b.good.GetServiceAccount)
}
func (b broken) DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "serviceaccounts", namespace, name, opts, b.good.DeleteServiceAccount)
}
func (b broken) PatchServiceAccount(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ServiceAccount, error) {
	return patched(b, ctx, "serviceaccounts", namespace, name, pt, data, b.good.PatchServiceAccount)
}
func (b broken) CreateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return written(b, ctx, "create", "secrets", o, b.good.CreateSecret)
}
func (b broken) UpdateSecret(ctx context.Context, o *corev1.Secret) (*corev1.Secret, error) {
	return written(b, ctx, "update", "secrets", o, b.good.UpdateSecret)
}
func (b broken) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return read(b, ctx, "secrets", namespace, name, b.good.GetSecret)
}
func (b broken) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	return listed(b, ctx, "secrets", namespace, "", inNamespace(b.good.ListSecrets))
}

// TokenSecrets looks like a list of "tokens" of a name.
func (b broken) TokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	return listed(b, ctx, "tokens", namespace, account, b.good.TokenSecrets)
}
func (b broken) DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "secrets", namespace, name, opts, b.good.DeleteSecret)
}
func (b broken) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	return patched(b, ctx, "secrets", namespace, name, pt, data, b.good.PatchSecret)
}
func (b broken) CreatePod(ctx context.Context, o *corev1.Pod) (*corev1.Pod, error) {
	return written(b, ctx, "create", "pods", o, b.good.CreatePod)
}
func (b broken) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return read(b, ctx, "pods", namespace, name, b.good.GetPod)
}
func (b broken) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return listed(b, ctx, "pods", namespace, "", inNamespace(b.good.ListPods))
}
func (b broken) DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "pods", namespace, name, opts, b.good.DeletePod)
}
func (b broken) CreateConfigMap(ctx context.Context, o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return written(b, ctx, "create", "configmaps", o, b.good.CreateConfigMap)
}
func (b broken) UpdateConfigMap(ctx context.Context, o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return written(b, ctx, "update", "configmaps", o, b.good.UpdateConfigMap)
}
func (b broken) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return read(b, ctx, "configmaps", namespace, name, b.good.GetConfigMap)
}
func (b broken) DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	return b.deleted(ctx, "configmaps", namespace, name, opts, b.good.DeleteConfigMap)
}
