// Package object says which kinds of objects the fake cluster has, and how the
// API server treats each: names, subresources, selectable fields, lists.
package object

import (
	"fmt"
	"reflect"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Object is what the Cluster stores: a pointer to one of the seven types. A
// stored object is never changed, only replaced, so the store, the history and
// every view share it.
type Object interface {
	metav1.Object
	runtime.Object
}

// Kind says how the API server treats the objects of one type.
type Kind struct {
	ID         int // index into kinds and into the tables of a store
	Group      string
	Name       string
	Resource   string
	Singular   string
	ShortNames []string
	Namespaced bool
	Status     bool // has the subresource "status"

	New func() Object
	// List returns a list object with copies of what was found.
	List      func(Page) runtime.Object
	CheckName func(name string) []string

	// SetStatus puts the status of from into to; nil without a status.
	SetStatus func(to, from Object)
	// selectable returns the fields that a field selector may name, besides
	// metadata.name and metadata.namespace.
	selectable func(Object) fields.Set
}

// The seven kinds, in the order in which they are listed to a new controller:
// what others refer to comes first.
var (
	Namespaces = &Kind{
		ID: 0, Name: "Namespace", Resource: "namespaces", Singular: "namespace", ShortNames: []string{"ns"}, Status: true,
		New: func() Object { return new(corev1.Namespace) },
		List: func(p Page) runtime.Object {
			return &corev1.NamespaceList{ListMeta: p.Meta, Items: values[corev1.Namespace](p.Items)}
		},
		CheckName: validation.IsDNS1123Label,
		SetStatus: func(to, from Object) {
			to.(*corev1.Namespace).Status = from.(*corev1.Namespace).Status
		},
		selectable: func(o Object) fields.Set {
			return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
		},
	}
	Nodes = &Kind{
		ID: 1, Name: "Node", Resource: "nodes", Singular: "node", ShortNames: []string{"no"}, Status: true,
		New: func() Object { return new(corev1.Node) },
		List: func(p Page) runtime.Object {
			return &corev1.NodeList{ListMeta: p.Meta, Items: values[corev1.Node](p.Items)}
		},
		CheckName: validation.IsDNS1123Subdomain,
		SetStatus: func(to, from Object) { to.(*corev1.Node).Status = from.(*corev1.Node).Status },
		selectable: func(o Object) fields.Set {
			return fields.Set{"spec.unschedulable": fmt.Sprint(o.(*corev1.Node).Spec.Unschedulable)}
		},
	}
	ServiceAccounts = &Kind{
		ID: 2, Name: "ServiceAccount", Resource: "serviceaccounts", Singular: "serviceaccount", ShortNames: []string{"sa"}, Namespaced: true,
		New: func() Object { return new(corev1.ServiceAccount) },
		List: func(p Page) runtime.Object {
			return &corev1.ServiceAccountList{ListMeta: p.Meta, Items: values[corev1.ServiceAccount](p.Items)}
		},
		CheckName: validation.IsDNS1123Subdomain,
	}
	Secrets = &Kind{
		ID: 3, Name: "Secret", Resource: "secrets", Singular: "secret", Namespaced: true,
		New: func() Object { return new(corev1.Secret) },
		List: func(p Page) runtime.Object {
			return &corev1.SecretList{ListMeta: p.Meta, Items: values[corev1.Secret](p.Items)}
		},
		CheckName:  validation.IsDNS1123Subdomain,
		selectable: func(o Object) fields.Set { return fields.Set{"type": string(o.(*corev1.Secret).Type)} },
	}
	Pods = &Kind{
		ID: 4, Name: "Pod", Resource: "pods", Singular: "pod", ShortNames: []string{"po"}, Namespaced: true, Status: true,
		New: func() Object { return new(corev1.Pod) },
		List: func(p Page) runtime.Object {
			return &corev1.PodList{ListMeta: p.Meta, Items: values[corev1.Pod](p.Items)}
		},
		CheckName:  validation.IsDNS1123Subdomain,
		SetStatus:  func(to, from Object) { to.(*corev1.Pod).Status = from.(*corev1.Pod).Status },
		selectable: podFields,
	}
	ConfigMaps = &Kind{
		ID: 5, Name: "ConfigMap", Resource: "configmaps", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true,
		New: func() Object { return new(corev1.ConfigMap) },
		List: func(p Page) runtime.Object {
			return &corev1.ConfigMapList{ListMeta: p.Meta, Items: values[corev1.ConfigMap](p.Items)}
		},
		CheckName: validation.IsDNS1123Subdomain,
	}

	ClusterTrustBundles = &Kind{
		ID: 6, Group: certificatesv1.GroupName, Name: "ClusterTrustBundle", Resource: "clustertrustbundles", Singular: "clustertrustbundle",
		New: func() Object { return new(certificatesv1.ClusterTrustBundle) },
		List: func(p Page) runtime.Object {
			return &certificatesv1.ClusterTrustBundleList{ListMeta: p.Meta, Items: values[certificatesv1.ClusterTrustBundle](p.Items)}
		},
		CheckName: content.IsPathSegmentName, // the rest depends on the signer
		selectable: func(o Object) fields.Set {
			return fields.Set{"spec.signerName": o.(*certificatesv1.ClusterTrustBundle).Spec.SignerName}
		},
	}

	// Events has no objects: it can only be watched.
	Events = &Kind{
		Name: "Event", Resource: "events", Singular: "event", Namespaced: true,
		New: func() Object { return new(corev1.Event) },
	}

	// Kinds are the seven.
	Kinds = [...]*Kind{Namespaces, Nodes, ServiceAccounts, Secrets, Pods, ConfigMaps, ClusterTrustBundles}
)

func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}
}
func (k *Kind) GroupKind() schema.GroupKind { return schema.GroupKind{Group: k.Group, Kind: k.Name} }

// GroupVersion is that of all objects of the kind.
func (k *Kind) GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: k.Group, Version: "v1"}
}

// Page is one answer of a list; the caller must copy the objects.
type Page struct {
	Items []Object
	Meta  metav1.ListMeta
}

// KindOf returns the kind of o, or nil if the Cluster has no such kind or o is
// a nil pointer.
func KindOf(o runtime.Object) *Kind {
	if v := reflect.ValueOf(o); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return kindOf(o)
}

// KindFor returns the kind of the objects T.
func KindFor[T any, P Pointer[T]]() *Kind { return kindOf(P(nil)) }

func kindOf(o runtime.Object) *Kind {
	switch o.(type) {
	case *corev1.Namespace:
		return Namespaces
	case *corev1.Node:
		return Nodes
	case *corev1.ServiceAccount:
		return ServiceAccounts
	case *corev1.Secret:
		return Secrets
	case *corev1.Pod:
		return Pods
	case *corev1.ConfigMap:
		return ConfigMaps
	case *certificatesv1.ClusterTrustBundle:
		return ClusterTrustBundles
	}
	return nil
}

// KindNamed returns the kind with the given plural name, or nil.
func KindNamed(resource string) *Kind {
	for _, k := range Kinds {
		if k.Resource == resource {
			return k
		}
	}
	return nil
}

// Pointer is a constraint: a pointer to T that the Cluster can store.
type Pointer[T any] interface {
	*T
	Object
}

// values returns copies of list as a list object holds them.
func values[T any, P Pointer[T]](list []Object) []T {
	items := make([]T, len(list))
	for i, o := range list {
		items[i] = *CopyOf(o).(P)
	}
	return items
}

// CopyOf returns a deep copy of o.
func CopyOf(o Object) Object { return o.DeepCopyObject().(Object) }

// The subresources besides "status".
const (
	FinalizeSubresource  = "finalize"
	TokenSubresource     = "token"
	EphemeralSubresource = "ephemeralcontainers"
	EvictionSubresource  = "eviction"
	ResizeSubresource    = "resize"
	BindingSubresource   = "binding"
)

func (k *Kind) HasSubresource(name string) bool {
	switch name {
	case "status":
		return k.Status
	case FinalizeSubresource:
		return k == Namespaces
	case TokenSubresource:
		return k == ServiceAccounts
	case EphemeralSubresource, ResizeSubresource:
		return k == Pods
	}
	return false
}

// OptimisticLock is the text of a conflict between two writers.
const OptimisticLock = "the object has been modified; please apply your changes to the latest version and try again"
