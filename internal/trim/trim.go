// Package trim makes the objects in a cache small, for the modules that have one.
package trim

import (
	"bytes"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Trimmer keeps the cache of one informer small: it drops the parts of an object
// that no controller needs, and lets objects share what most have in common. Of a
// token Secret that is all but the token: the CA bundle, the namespace, and the keys
// of the data and of the annotations.
//
// It changes objects in place, which client-go's cache.TransformFunc allows, and may
// see them more than once. The zero value is ready; it is safe for concurrent use.
type Trimmer struct {
	mu        sync.Mutex
	namespace string // of the last object: lists come in that order
	caData    []byte // of the last Secret
	caText    string // of the last ConfigMap
}

// Trim returns what of object is kept in memory. An update that has no managed
// fields leaves those of the API server as they are.
func (t *Trimmer) Trim(object any) (any, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch o := object.(type) {
	case *corev1.Namespace:
		o.ManagedFields = nil
	case *corev1.ServiceAccount:
		t.trimMeta(&o.ObjectMeta)
	case *corev1.Secret:
		t.trimMeta(&o.ObjectMeta)
		o.Type = corev1.SecretType(constant(string(o.Type)))
		shareKeys(o.Data)
		if ca, ok := o.Data[corev1.ServiceAccountRootCAKey]; ok {
			if !bytes.Equal(ca, t.caData) {
				t.caData = ca
			}
			o.Data[corev1.ServiceAccountRootCAKey] = t.caData
		}
	case *corev1.ConfigMap:
		t.trimMeta(&o.ObjectMeta)
		if ca, ok := o.Data[corev1.ServiceAccountRootCAKey]; ok {
			if ca != t.caText {
				t.caText = ca
			}
			o.Data[corev1.ServiceAccountRootCAKey] = t.caText
		}
	case *corev1.Pod:
		t.trimMeta(&o.ObjectMeta)
		o.Status = corev1.PodStatus{}
	case *certificatesv1.ClusterTrustBundle:
		o.ManagedFields = nil
	case *metav1.PartialObjectMetadata:
		t.trimMeta(&o.ObjectMeta)
		return &corev1.ServiceAccount{ObjectMeta: o.ObjectMeta}, nil
	}
	return object, nil // of a tombstone, the object was trimmed when it was stored
}

func (t *Trimmer) trimMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	if m.Namespace != t.namespace {
		t.namespace = m.Namespace
	}
	m.Namespace = t.namespace
	shareKeys(m.Annotations)
}

// shareKeys replaces those keys of m that many objects have. Assigning to a key that
// is there keeps the string that is assigned to.
func shareKeys[V any](m map[string]V) {
	for key, value := range m {
		m[constant(key)] = value
	}
}

// constant returns text, and for what every token Secret has a copy that is in
// memory once.
func constant(text string) string {
	switch text {
	case string(corev1.SecretTypeServiceAccountToken):
		return string(corev1.SecretTypeServiceAccountToken)
	case corev1.ServiceAccountNameKey:
		return corev1.ServiceAccountNameKey
	case corev1.ServiceAccountUIDKey:
		return corev1.ServiceAccountUIDKey
	case corev1.ServiceAccountNamespaceKey:
		return corev1.ServiceAccountNamespaceKey
	case corev1.ServiceAccountTokenKey:
		return corev1.ServiceAccountTokenKey
	}
	return text
}
