package apiserver

import (
	"fmt"
	"reflect"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AddToScheme registers the types of authentication.k8s.io/v1, as those that the
// server works with too. A server with internal types of that group, as
// kube-apiserver, doesn't need it.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		return err
	}
	return AddHub(scheme, authenticationv1.SchemeGroupVersion)
}

// AddHub makes the types of version the ones that a server with scheme works with: it
// registers those that have no internal type as internal types too. They must be
// registered already. A server converts every request to the internal version, so
// without this it can't serve a group that has none.
func AddHub(scheme *runtime.Scheme, version schema.GroupVersion) error {
	known := scheme.KnownTypes(version)
	if len(known) == 0 {
		return fmt.Errorf("apiserver: no type of %s is registered", version)
	}
	internal := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
	for kind, typ := range known {
		object, ok := reflect.New(typ).Interface().(runtime.Object)
		// Kinds of every group, such as WatchEvent, have internal types already.
		kinds, _, err := scheme.ObjectKinds(object)
		shared := slices.ContainsFunc(kinds, func(k schema.GroupVersionKind) bool { return k.Group != version.Group })
		if !ok || err != nil || shared || scheme.Recognizes(internal.WithKind(kind)) {
			continue
		}
		scheme.AddKnownTypeWithName(internal.WithKind(kind), object)
	}
	return nil
}
