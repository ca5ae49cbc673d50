package saruntime

import (
	"context"
	"fmt"
	"reflect"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// NewClient returns live access through c: every getter, reader and client interface
// of this library. c is what client.New returns for options without a Cache, or a
// fake. Its scheme must have the core v1 types.
//
// It returns an error naming every argument that is invalid, each as a [*ConfigError]:
// also a client that reads from a cache, as what a manager's GetClient returns does. For
// a manager, [Runtime.Client] is the live access.
func NewClient(c client.Client) (*serviceaccount.CoreV1, error) {
	mistakes := configerror.List{Config: "saruntime.NewClient"}
	mistakes.Require("c", c, "a client.Client")
	requireLive(&mistakes, "c", c)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return serviceaccount.FromCoreV1(core{c, c}), nil
}

// NewCertificatesClient is [NewClient] for the ClusterTrustBundles of
// certificates.k8s.io/v1, which c's scheme must have.
func NewCertificatesClient(c client.Client) (*serviceaccount.CertificatesV1, error) {
	mistakes := configerror.List{Config: "saruntime.NewCertificatesClient"}
	mistakes.Require("c", c, "a client.Client")
	requireLive(&mistakes, "c", c)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return serviceaccount.FromCertificatesV1(core{c, c}), nil
}

// requireLive adds a mistake if reader has a cache. A client doesn't tell, so the
// clients that it is made of are looked at: those of controller-runtime and its
// wrappers, and of others.
func requireLive(mistakes *configerror.List, field string, reader client.Reader) {
	if c := cacheIn(reflect.ValueOf(reader), 0); c != nil {
		mistakes.Add(field, "reads from a %v, want a client without a cache", c)
	}
}

var (
	readerType    = reflect.TypeFor[client.Reader]()
	informersType = reflect.TypeFor[cache.Informers]()
)

// cacheIn returns the type of the cache that v is, or has in a field that is a reader,
// or a reader's; nil if there is none.
func cacheIn(v reflect.Value, depth int) reflect.Type {
	const deepest = 16 // wrappers
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if !v.IsNil() && v.Type().Implements(informersType) {
			return v.Type()
		}
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return nil
	case v.Type().Implements(informersType):
		return v.Type()
	case v.Kind() != reflect.Struct || depth > deepest:
		return nil
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Type().Implements(readerType) || reflect.PointerTo(f.Type()).Implements(readerType) {
			if c := cacheIn(f, depth+1); c != nil {
				return c
			}
		}
	}
	return nil
}

// core has the shape of client-go's CoreV1 and CertificatesV1 clients. It reads from
// reader, which has no cache.
type core struct {
	reader client.Reader
	writer client.Writer
}

func (c core) Namespaces() resource[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace, *corev1.NamespaceList] {
	return resource[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace, *corev1.NamespaceList]{c, ""}
}

func (c core) Nodes() resource[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList] {
	return resource[corev1.Node, corev1.NodeList, *corev1.Node, *corev1.NodeList]{c, ""}
}

func (c core) ServiceAccounts(namespace string) resource[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return resource[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount, *corev1.ServiceAccountList]{c, namespace}
}

func (c core) Secrets(namespace string) resource[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList] {
	return resource[corev1.Secret, corev1.SecretList, *corev1.Secret, *corev1.SecretList]{c, namespace}
}

func (c core) Pods(namespace string) resource[corev1.Pod, corev1.PodList, *corev1.Pod, *corev1.PodList] {
	return resource[corev1.Pod, corev1.PodList, *corev1.Pod, *corev1.PodList]{c, namespace}
}

func (c core) ConfigMaps(namespace string) resource[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList] {
	return resource[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap, *corev1.ConfigMapList]{c, namespace}
}

func (c core) ClusterTrustBundles() resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle, *certificatesv1.ClusterTrustBundleList] {
	return resource[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList, *certificatesv1.ClusterTrustBundle, *certificatesv1.ClusterTrustBundleList]{c, ""}
}

// An object is a pointer to a T that controller-runtime knows as an object.
type object[T any] interface {
	*T
	client.Object
}

// An objectList is object for lists.
type objectList[L any] interface {
	*L
	client.ObjectList
}

// resource is a [serviceaccount.Resource]. It changes none of the objects that it is
// given: controller-runtime writes the API server's answer into them.
type resource[T, L any, P object[T], PL objectList[L]] struct {
	core
	namespace string
}

func (r resource[T, L, P, PL]) Create(ctx context.Context, o *T, _ metav1.CreateOptions) (*T, error) {
	sent := P(o).DeepCopyObject().(P)
	return sent, r.writer.Create(ctx, sent)
}

func (r resource[T, L, P, PL]) Update(ctx context.Context, o *T, _ metav1.UpdateOptions) (*T, error) {
	sent := P(o).DeepCopyObject().(P)
	return sent, r.writer.Update(ctx, sent)
}

func (r resource[T, L, P, PL]) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return r.writer.Delete(ctx, r.named(name), &client.DeleteOptions{
		GracePeriodSeconds: opts.GracePeriodSeconds, DryRun: opts.DryRun,
		Preconditions: opts.Preconditions, PropagationPolicy: opts.PropagationPolicy, Raw: &opts,
	})
}

func (r resource[T, L, P, PL]) Get(ctx context.Context, name string, _ metav1.GetOptions) (*T, error) {
	found := P(new(T))
	return found, r.reader.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, found)
}

func (r resource[T, L, P, PL]) List(ctx context.Context, opts metav1.ListOptions) (*L, error) {
	selected := &client.ListOptions{Namespace: r.namespace, Limit: opts.Limit, Continue: opts.Continue, Raw: &opts}
	var err error
	if opts.FieldSelector != "" { // controller-runtime's fake takes no empty one
		if selected.FieldSelector, err = fields.ParseSelector(opts.FieldSelector); err != nil {
			return nil, fmt.Errorf("saruntime: field selector: %v", err)
		}
	}
	if selected.LabelSelector, err = labels.Parse(opts.LabelSelector); err != nil {
		return nil, fmt.Errorf("saruntime: label selector: %v", err)
	}
	found := PL(new(L))
	return found, r.reader.List(ctx, found, selected)
}

func (r resource[T, L, P, PL]) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*T, error) {
	patched := r.named(name)
	return patched, r.writer.Patch(ctx, patched, client.RawPatch(pt, data))
}

func (r resource[T, L, P, PL]) named(name string) P {
	o := P(new(T))
	o.SetNamespace(r.namespace)
	o.SetName(name)
	return o
}
