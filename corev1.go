package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Resource is the part of client-go's typed clients that [FromCoreV1] uses, for
// objects of type T and lists of type L. client-go's clients implement it.
type Resource[T, L any] interface {
	Create(ctx context.Context, object *T, opts metav1.CreateOptions) (*T, error)
	Update(ctx context.Context, object *T, opts metav1.UpdateOptions) (*T, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*T, error)
	List(ctx context.Context, opts metav1.ListOptions) (*L, error)
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (*T, error)
}

// CoreV1 gives live access to a Kubernetes API server: it implements every getter,
// reader and client interface of this module's packages. [FromCoreV1] returns one,
// and [ByTenant] one for many servers; the methods of the zero value return an error.
//
// Each method sends one request (a list may take several pages) with the caller's
// context, and returns the API server's errors unchanged. A nil object is a
// BadRequest. A CoreV1 is safe for concurrent use if the client below it is;
// client-go's are.
type CoreV1 struct {
	namespaces      resource[corev1.Namespace, corev1.NamespaceList]
	nodes           resource[corev1.Node, corev1.NodeList]
	serviceAccounts resource[corev1.ServiceAccount, corev1.ServiceAccountList]
	secrets         resource[corev1.Secret, corev1.SecretList]
	pods            resource[corev1.Pod, corev1.PodList]
	configMaps      resource[corev1.ConfigMap, corev1.ConfigMapList]
}

// FromCoreV1 adapts client-go's CoreV1() client, real or fake, without making
// this module depend on client-go: the type arguments are inferred.
//
//	clients := serviceaccount.FromCoreV1(clientset.CoreV1())
//	controller, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: clients, Client: clients, …})
//
// It does no I/O. All reads are live: at scale, give controllers a Reader that is
// fed by a watch, and this one as their Client. If core is a nil pointer, every
// method of the result returns an error.
func FromCoreV1[
	NS Resource[corev1.Namespace, corev1.NamespaceList],
	NO Resource[corev1.Node, corev1.NodeList],
	SA Resource[corev1.ServiceAccount, corev1.ServiceAccountList],
	SE Resource[corev1.Secret, corev1.SecretList],
	PO Resource[corev1.Pod, corev1.PodList],
	CM Resource[corev1.ConfigMap, corev1.ConfigMapList],
](core interface {
	Namespaces() NS
	Nodes() NO
	ServiceAccounts(namespace string) SA
	Secrets(namespace string) SE
	Pods(namespace string) PO
	ConfigMaps(namespace string) CM
}) *CoreV1 {
	if v := reflect.ValueOf(core); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return new(CoreV1)
	}
	c := newCoreV1()
	c.namespaces.in = inOne[corev1.Namespace, corev1.NamespaceList](func(string) NS { return core.Namespaces() })
	c.nodes.in = inOne[corev1.Node, corev1.NodeList](func(string) NO { return core.Nodes() })
	c.serviceAccounts.in = inOne[corev1.ServiceAccount, corev1.ServiceAccountList](core.ServiceAccounts)
	c.secrets.in = inOne[corev1.Secret, corev1.SecretList](core.Secrets)
	c.pods.in = inOne[corev1.Pod, corev1.PodList](core.Pods)
	c.configMaps.in = inOne[corev1.ConfigMap, corev1.ConfigMapList](core.ConfigMaps)
	return c
}

// newCoreV1 returns a CoreV1 without clients.
func newCoreV1() *CoreV1 {
	c := new(CoreV1)
	c.namespaces.items = func(l *corev1.NamespaceList) ([]corev1.Namespace, string) { return l.Items, l.Continue }
	c.nodes.items = func(l *corev1.NodeList) ([]corev1.Node, string) { return l.Items, l.Continue }
	c.serviceAccounts.items = func(l *corev1.ServiceAccountList) ([]corev1.ServiceAccount, string) { return l.Items, l.Continue }
	c.secrets.items = func(l *corev1.SecretList) ([]corev1.Secret, string) { return l.Items, l.Continue }
	c.pods.items = func(l *corev1.PodList) ([]corev1.Pod, string) { return l.Items, l.Continue }
	c.configMaps.items = func(l *corev1.ConfigMapList) ([]corev1.ConfigMap, string) { return l.Items, l.Continue }
	return c
}

// inOne returns the clients of one API server.
func inOne[T, L any, R Resource[T, L]](in func(namespace string) R) func(ctx context.Context, namespace string) (Resource[T, L], error) {
	return func(_ context.Context, namespace string) (Resource[T, L], error) { return in(namespace), nil }
}

// ByTenant returns access to the API servers of many tenants: each method calls the
// CoreV1 that of returns for its context, of which package tenant knows the tenant. An
// error of of is returned as it is, and no request is sent.
//
//	var clients tenant.Set[*serviceaccount.CoreV1]
//	clients.Join("red", serviceaccount.FromCoreV1(clientset.CoreV1()))
//	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
//		Reader: serviceaccount.ByTenant(clients.Of),
//		…
//	})
//
// of must be safe for concurrent use. If it is nil, or returns a nil CoreV1, methods
// return an error.
func ByTenant(of func(ctx context.Context) (*CoreV1, error)) *CoreV1 {
	if of == nil {
		return new(CoreV1)
	}
	c := newCoreV1()
	c.namespaces.in = inTenant(of, func(c *CoreV1) *resource[corev1.Namespace, corev1.NamespaceList] { return &c.namespaces })
	c.nodes.in = inTenant(of, func(c *CoreV1) *resource[corev1.Node, corev1.NodeList] { return &c.nodes })
	c.serviceAccounts.in = inTenant(of, func(c *CoreV1) *resource[corev1.ServiceAccount, corev1.ServiceAccountList] { return &c.serviceAccounts })
	c.secrets.in = inTenant(of, func(c *CoreV1) *resource[corev1.Secret, corev1.SecretList] { return &c.secrets })
	c.pods.in = inTenant(of, func(c *CoreV1) *resource[corev1.Pod, corev1.PodList] { return &c.pods })
	c.configMaps.in = inTenant(of, func(c *CoreV1) *resource[corev1.ConfigMap, corev1.ConfigMapList] { return &c.configMaps })
	return c
}

// inTenant returns the clients of the API server of the context's tenant.
func inTenant[C, T, L any](of func(ctx context.Context) (*C, error), part func(*C) *resource[T, L]) func(ctx context.Context, namespace string) (Resource[T, L], error) {
	return func(ctx context.Context, namespace string) (Resource[T, L], error) {
		c, err := of(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, errNoClient
		}
		return part(c).client(ctx, namespace)
	}
}

// pageSize bounds one answer of a list, as client-go's pager does.
const pageSize = 500

// resource turns a typed client of one kind into calls without options.
type resource[T, L any] struct {
	in    func(ctx context.Context, namespace string) (Resource[T, L], error) // nil without a client
	items func(*L) (items []T, continueToken string)
}

// errNoClient is what every method returns if there is no client to call.
var errNoClient = errors.New("serviceaccount: there is no client to call, want what FromCoreV1 or FromCertificatesV1 returns for a client that is not nil")

func (r resource[T, L]) client(ctx context.Context, namespace string) (Resource[T, L], error) {
	if r.in == nil {
		return nil, errNoClient
	}
	return r.in(ctx, namespace)
}

func (r resource[T, L]) get(ctx context.Context, namespace, name string) (*T, error) {
	client, err := r.client(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, name, metav1.GetOptions{})
}

func (r resource[T, L]) create(ctx context.Context, object *T) (*T, error) {
	client, err := r.clientFor(ctx, object)
	if err != nil {
		return nil, err
	}
	return client.Create(ctx, object, metav1.CreateOptions{})
}

func (r resource[T, L]) update(ctx context.Context, object *T) (*T, error) {
	client, err := r.clientFor(ctx, object)
	if err != nil {
		return nil, err
	}
	return client.Update(ctx, object, metav1.UpdateOptions{})
}

func (r resource[T, L]) patch(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*T, error) {
	client, err := r.client(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return client.Patch(ctx, name, pt, data, metav1.PatchOptions{})
}

func (r resource[T, L]) delete(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error {
	client, err := r.client(ctx, namespace)
	if err != nil {
		return err
	}
	return client.Delete(ctx, name, opts)
}

// list reads page by page. If the continue token expires in between, the rest can't
// be read consistently any more: it starts over, once, without pages.
func (r resource[T, L]) list(ctx context.Context, namespace string, opts metav1.ListOptions) ([]*T, error) {
	client, err := r.client(ctx, namespace)
	if err != nil {
		return nil, err
	}
	opts.Limit = pageSize
	var all []*T
	for {
		page, err := client.List(ctx, opts)
		if apierrors.IsResourceExpired(err) && opts.Continue != "" {
			all, opts.Continue, opts.Limit = nil, "", 0
			continue
		}
		if err != nil {
			return nil, err
		}
		items, next := r.items(page)
		for i := range items {
			all = append(all, &items[i])
		}
		if next == "" {
			return all, nil
		}
		opts.Continue = next
	}
}

// clientFor returns the client for the namespace of object.
func (r resource[T, L]) clientFor(ctx context.Context, object *T) (Resource[T, L], error) {
	if object == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("serviceaccount: got a nil %T", object))
	}
	return r.client(ctx, any(object).(metav1.Object).GetNamespace())
}
