package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is a pointer to one of the seven types.
type object interface {
	metav1.Object
	runtime.Object
}

type pointer[T any] interface {
	*T
	object
}

// kind has what the promises about all objects need of one type.
type kind struct {
	name, resource string
	namespaced     bool
	// new returns a good object without metadata.
	new    func() object
	create func(Cluster, context.Context, object) (object, error)
	get    func(c Cluster, ctx context.Context, namespace, name string) (object, error)
	delete func(c Cluster, ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
	update func(Cluster, context.Context, object) (object, error) // nil where no client has it
}

func kinds() []kind {
	return []kind{
		{
			name: "Namespace", resource: "namespaces",
			new:    func() object { return new(corev1.Namespace) },
			create: write(Cluster.CreateNamespace), get: readGlobal(Cluster.GetNamespace), delete: deleteGlobal(Cluster.DeleteNamespace),
		},
		{
			name: "Node", resource: "nodes",
			new:    func() object { return new(corev1.Node) },
			create: write(Cluster.CreateNode), get: readGlobal(Cluster.GetNode), delete: deleteGlobal(Cluster.DeleteNode),
		},
		{
			name: "ServiceAccount", resource: "serviceaccounts", namespaced: true,
			new:    func() object { return new(corev1.ServiceAccount) },
			create: write(Cluster.CreateServiceAccount), get: read(Cluster.GetServiceAccount), delete: Cluster.DeleteServiceAccount,
			update: write(Cluster.UpdateServiceAccount),
		},
		{
			name: "Secret", resource: "secrets", namespaced: true,
			new:    func() object { return new(corev1.Secret) },
			create: write(Cluster.CreateSecret), get: read(Cluster.GetSecret), delete: Cluster.DeleteSecret,
			update: write(Cluster.UpdateSecret),
		},
		{
			name: "Pod", resource: "pods", namespaced: true,
			new: func() object {
				return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}}}
			},
			create: write(Cluster.CreatePod), get: read(Cluster.GetPod), delete: Cluster.DeletePod,
		},
		{
			name: "ConfigMap", resource: "configmaps", namespaced: true,
			new:    func() object { return new(corev1.ConfigMap) },
			create: write(Cluster.CreateConfigMap), get: read(Cluster.GetConfigMap), delete: Cluster.DeleteConfigMap,
			update: write(Cluster.UpdateConfigMap),
		},
	}
}

// kindOf returns the kind of a resource of kinds.
func kindOf(resource string) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.resource == resource })]
}

// each calls do with every kind, but for those that the cluster does not
// support, if there are others.
func (r *room) each(do func(kind)) { r.eachOf(kinds(), do) }

// updatable calls do with each kind that the clients update.
func (r *room) updatable(do func(kind)) {
	r.eachOf(slices.DeleteFunc(kinds(), func(k kind) bool { return k.update == nil }), do)
}

// removable calls do with each kind whose objects a delete removes at once.
func (r *room) removable(do func(kind)) {
	r.eachOf(slices.DeleteFunc(kinds(), func(k kind) bool { return k.name == "Namespace" }), do)
}

// eachOf calls do with kinds. It goes on after one that is not supported, and
// fails with that if none is.
func (r *room) eachOf(kinds []kind, do func(kind)) {
	supported, err := 0, error(nil)
	for _, k := range kinds {
		unsupported := attempt(func() { do(k) })
		switch {
		case unsupported == nil:
			supported++
		case errors.Is(unsupported, errors.ErrUnsupported):
			err = unsupported
		default:
			panic(failure{unsupported})
		}
	}
	if supported == 0 && err != nil {
		panic(failure{err})
	}
}

func write[P pointer[T], T any](call func(Cluster, context.Context, P) (P, error)) func(Cluster, context.Context, object) (object, error) {
	return func(c Cluster, ctx context.Context, o object) (object, error) { return plain(call(c, ctx, o.(P))) }
}

func read[P pointer[T], T any](call func(Cluster, context.Context, string, string) (P, error)) func(Cluster, context.Context, string, string) (object, error) {
	return func(c Cluster, ctx context.Context, namespace, name string) (object, error) {
		return plain(call(c, ctx, namespace, name))
	}
}

func readGlobal[P pointer[T], T any](call func(Cluster, context.Context, string) (P, error)) func(Cluster, context.Context, string, string) (object, error) {
	return func(c Cluster, ctx context.Context, _, name string) (object, error) { return plain(call(c, ctx, name)) }
}

func deleteGlobal(call func(Cluster, context.Context, string, metav1.DeleteOptions) error) func(Cluster, context.Context, string, string, metav1.DeleteOptions) error {
	return func(c Cluster, ctx context.Context, _, name string, opts metav1.DeleteOptions) error {
		return call(c, ctx, name, opts)
	}
}

// plain turns a nil pointer into a nil object.
func plain[P pointer[T], T any](got P, err error) (object, error) {
	if got == nil {
		return nil, err
	}
	return got, err
}

// make creates an object of kind k with a generated name, as mutate wants it.
func (k kind) make(r *room, mutate func(object)) object {
	o := k.new()
	o.SetGenerateName("clustertest-")
	if k.namespaced {
		o.SetNamespace(r.namespace)
	}
	if mutate != nil {
		mutate(o)
	}
	got := k.must(r, "create", o)(k.create(r.cluster, r.ctx, o))
	switch k.resource {
	case "namespaces":
		r.opened = append(r.opened, got.GetName())
	case "nodes":
		r.nodes = append(r.nodes, got.GetName())
	}
	return got
}

// read returns the object that has the name of o now.
func (k kind) read(r *room, o object) object {
	return k.must(r, "get", o)(k.get(r.cluster, r.ctx, o.GetNamespace(), o.GetName()))
}

// change updates o, which must succeed.
func (k kind) change(r *room, o object) object {
	return k.must(r, "update", o)(k.update(r.cluster, r.ctx, o))
}

// must fails unless a call gives an answer.
func (k kind) must(r *room, verb string, o object) func(object, error) object {
	return func(got object, err error) object {
		what := fmt.Sprintf("%s of %s %s", verb, k.name, nameOf(o))
		if err != nil {
			r.failf("%s: %w", what, err)
		}
		if got == nil {
			r.failf("%s: got neither an object nor an error", what)
		}
		return got
	}
}

// absent fails if there is an object with the name of o.
func (k kind) absent(r *room, o object) {
	_, err := k.get(r.cluster, r.ctx, o.GetNamespace(), o.GetName())
	if err != nil && !apierrors.IsNotFound(err) && !errors.Is(err, errors.ErrUnsupported) {
		r.failf("get of %s %s: %w", k.name, o.GetName(), err)
	}
	if err == nil {
		r.failf("%s %s is there, want it gone", k.name, o.GetName())
	}
}

// nameOf returns what the caller calls o.
func nameOf(o metav1.Object) string {
	if o.GetName() == "" {
		return o.GetGenerateName() + "*"
	}
	return o.GetName()
}
