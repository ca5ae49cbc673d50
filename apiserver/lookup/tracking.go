package lookup

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

// Tracking reads and writes ConfigMaps.
type Tracking interface {
	legacytoken.TrackerReader
	legacytoken.TrackerClient
}

// A ConfigMapStorage is storage of ConfigMaps, such as a store of the generic registry.
type ConfigMapStorage interface {
	rest.Getter
	rest.Creater
	rest.Updater
}

// TrackingStorage returns what reads and writes ConfigMaps in storage, as [FromStorage]
// reads.
//
// scheme has the internal types, if the server has any; it may be nil.
func TrackingStorage(scheme *runtime.Scheme, storage ConfigMapStorage) Tracking {
	return storedConfigMaps{objects.NewResource[corev1.ConfigMap](scheme, storage, "configmaps", corev1.SchemeGroupVersion.WithKind("ConfigMap")), storage}
}

type storedConfigMaps struct {
	resource objects.Resource[corev1.ConfigMap, *corev1.ConfigMap]
	creater  rest.Creater
}

func (s storedConfigMaps) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return s.resource.Get(ctx, namespace, name)
}

func (s storedConfigMaps) CreateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	object, err := s.resource.Internal(m.DeepCopy())
	if err != nil {
		return nil, err
	}
	stored, err := s.creater.Create(s.resource.In(ctx, "create", m.Namespace, m.Name), object, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return s.resource.Served(stored)
}

func (s storedConfigMaps) UpdateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return s.resource.Update(ctx, "update", m.Namespace, m.Name, func(*corev1.ConfigMap) (*corev1.ConfigMap, error) { return m.DeepCopy(), nil })
}
