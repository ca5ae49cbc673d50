package fake

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// object is what the Cluster stores: a pointer to one of the six types. A
// stored object is never changed, only replaced, so the store, the history and
// every view share it.
type object interface {
	metav1.Object
	runtime.Object
}

// kind says how the API server treats the objects of one type.
type kind struct {
	id         int // index into kinds and into the tables of a store
	name       string
	resource   string
	singular   string
	shortNames []string
	namespaced bool
	status     bool // has the subresource "status"

	new func() object
	// list returns a list object with copies of what was found.
	list      func(page) runtime.Object
	checkName func(name string) []string

	// prepareCreate and prepareUpdate set what the server owns or defaults.
	// They may change their first argument only.
	prepareCreate func(created object)
	prepareUpdate func(updated, old object)
	// validate judges created and updated objects, validateUpdate the step.
	validate       func(object) field.ErrorList
	validateUpdate func(updated, old object) field.ErrorList
	// setStatus puts the status of from into to; nil without a status.
	setStatus func(to, from object)
	// selectable returns the fields that a field selector may name, besides
	// metadata.name and metadata.namespace.
	selectable func(object) fields.Set
}

// The six kinds, in the order in which they are listed to a new controller:
// what others refer to comes first.
var (
	namespaces = &kind{
		id: 0, name: "Namespace", resource: "namespaces", singular: "namespace", shortNames: []string{"ns"}, status: true,
		new: func() object { return new(corev1.Namespace) },
		list: func(p page) runtime.Object {
			return &corev1.NamespaceList{ListMeta: p.meta, Items: values[corev1.Namespace](p.items)}
		},
		checkName:     validation.IsDNS1123Label,
		prepareCreate: prepareNamespace, prepareUpdate: prepareNamespaceUpdate,
		setStatus: func(to, from object) {
			to.(*corev1.Namespace).Status = from.(*corev1.Namespace).Status
		},
		selectable: func(o object) fields.Set {
			return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
		},
	}
	nodes = &kind{
		id: 1, name: "Node", resource: "nodes", singular: "node", shortNames: []string{"no"}, status: true,
		new: func() object { return new(corev1.Node) },
		list: func(p page) runtime.Object {
			return &corev1.NodeList{ListMeta: p.meta, Items: values[corev1.Node](p.items)}
		},
		checkName: validation.IsDNS1123Subdomain,
		setStatus: func(to, from object) { to.(*corev1.Node).Status = from.(*corev1.Node).Status },
		selectable: func(o object) fields.Set {
			return fields.Set{"spec.unschedulable": fmt.Sprint(o.(*corev1.Node).Spec.Unschedulable)}
		},
	}
	serviceAccounts = &kind{
		id: 2, name: "ServiceAccount", resource: "serviceaccounts", singular: "serviceaccount", shortNames: []string{"sa"}, namespaced: true,
		new: func() object { return new(corev1.ServiceAccount) },
		list: func(p page) runtime.Object {
			return &corev1.ServiceAccountList{ListMeta: p.meta, Items: values[corev1.ServiceAccount](p.items)}
		},
		checkName:     validation.IsDNS1123Subdomain,
		prepareCreate: prepareServiceAccount,
		prepareUpdate: func(updated, _ object) { prepareServiceAccount(updated) },
	}
	secrets = &kind{
		id: 3, name: "Secret", resource: "secrets", singular: "secret", namespaced: true,
		new: func() object { return new(corev1.Secret) },
		list: func(p page) runtime.Object {
			return &corev1.SecretList{ListMeta: p.meta, Items: values[corev1.Secret](p.items)}
		},
		checkName:     validation.IsDNS1123Subdomain,
		prepareCreate: prepareSecret,
		prepareUpdate: func(updated, _ object) { prepareSecret(updated) },
		validate:      validateSecret, validateUpdate: validateSecretUpdate,
		selectable: func(o object) fields.Set { return fields.Set{"type": string(o.(*corev1.Secret).Type)} },
	}
	pods = &kind{
		id: 4, name: "Pod", resource: "pods", singular: "pod", shortNames: []string{"po"}, namespaced: true, status: true,
		new: func() object { return new(corev1.Pod) },
		list: func(p page) runtime.Object {
			return &corev1.PodList{ListMeta: p.meta, Items: values[corev1.Pod](p.items)}
		},
		checkName:     validation.IsDNS1123Subdomain,
		prepareCreate: preparePod, prepareUpdate: preparePodUpdate,
		validate: validatePod, validateUpdate: validatePodUpdate,
		setStatus:  func(to, from object) { to.(*corev1.Pod).Status = from.(*corev1.Pod).Status },
		selectable: podFields,
	}
	configMaps = &kind{
		id: 5, name: "ConfigMap", resource: "configmaps", singular: "configmap", shortNames: []string{"cm"}, namespaced: true,
		new: func() object { return new(corev1.ConfigMap) },
		list: func(p page) runtime.Object {
			return &corev1.ConfigMapList{ListMeta: p.meta, Items: values[corev1.ConfigMap](p.items)}
		},
		checkName: validation.IsDNS1123Subdomain,
		validate:  validateConfigMap, validateUpdate: validateConfigMapUpdate,
	}

	kinds = [...]*kind{namespaces, nodes, serviceAccounts, secrets, pods, configMaps}
)

func (k *kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Resource: k.resource}
}
func (k *kind) groupKind() schema.GroupKind { return schema.GroupKind{Kind: k.name} }

// kindOf returns the kind of o, or nil if the Cluster has no such kind or o is
// a nil pointer.
func kindOf(o runtime.Object) *kind {
	if v := reflect.ValueOf(o); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	switch o.(type) {
	case *corev1.Namespace:
		return namespaces
	case *corev1.Node:
		return nodes
	case *corev1.ServiceAccount:
		return serviceAccounts
	case *corev1.Secret:
		return secrets
	case *corev1.Pod:
		return pods
	case *corev1.ConfigMap:
		return configMaps
	}
	return nil
}

// kindNamed returns the kind with the given plural name, or nil.
func kindNamed(resource string) *kind {
	for _, k := range kinds {
		if k.resource == resource {
			return k
		}
	}
	return nil
}

// values returns copies of list as a list object holds them.
func values[T any, P pointer[T]](list []object) []T {
	items := make([]T, len(list))
	for i, o := range list {
		items[i] = *copyOf(o).(P)
	}
	return items
}

// copyOf returns a deep copy of o.
func copyOf(o object) object { return o.DeepCopyObject().(object) }
