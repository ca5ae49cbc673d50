package apiserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/sacontroller"
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
	return storedConfigMaps{newResource[corev1.ConfigMap](scheme, storage, "configmaps", corev1.SchemeGroupVersion.WithKind("ConfigMap")), storage}
}

type storedConfigMaps struct {
	resource resource[corev1.ConfigMap, *corev1.ConfigMap]
	creater  rest.Creater
}

func (s storedConfigMaps) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	return s.resource.get(ctx, namespace, name)
}

func (s storedConfigMaps) CreateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	object, err := s.resource.hub.internal(m.DeepCopy())
	if err != nil {
		return nil, err
	}
	stored, err := s.creater.Create(s.resource.in(ctx, "create", m.Namespace, m.Name), object, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return s.resource.hub.served(stored)
}

func (s storedConfigMaps) UpdateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return s.resource.update(ctx, "update", m.Namespace, m.Name, func(*corev1.ConfigMap) (*corev1.ConfigMap, error) { return m.DeepCopy(), nil })
}

// How often the ConfigMap is looked at: when all is well, and after a failure.
const (
	trackingPeriod = time.Minute
	trackingRetry  = time.Second
)

// keepTracking keeps the ConfigMap until ctx is done.
func keepTracking(ctx context.Context, tracker *legacytoken.Tracker) {
	added := sacontroller.Change{Type: watch.Added, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}}
	for {
		pause := trackingPeriod
		for _, key := range tracker.Due(added) {
			if _, err := tracker.Reconcile(ctx, key); err != nil {
				pause = trackingRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
