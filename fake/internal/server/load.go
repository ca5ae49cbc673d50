package server

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// Load stores copies of objects as they are, with the Namespaces that they need, or none
// of them if one can't be stored.
func (s *Server) Load(objects ...runtime.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	loaded, err := s.loadable(objects)
	if err != nil {
		return err
	}
	for _, o := range loaded {
		if id := o.GetUID(); id != "" {
			s.uids.Take(id)
		}
	}
	for _, o := range loaded {
		if o, ok := o.(*corev1.Namespace); ok {
			s.load(object.Namespaces, o)
		}
	}
	for _, o := range loaded {
		k := object.KindOf(o)
		if k == object.Namespaces {
			continue
		}
		if _, ok := s.state.Get(object.Namespaces, "", o.GetNamespace()); k.Namespaced && !ok {
			s.load(object.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}})
		}
		s.load(k, o)
	}
	return nil
}

// loadable returns copies of objects, or an error that names each that can't be stored.
func (s *Server) loadable(objects []runtime.Object) ([]object.Object, error) {
	var errs []error
	loaded := make([]object.Object, 0, len(objects))
	seen := map[string]bool{}
	for i, o := range objects {
		k := object.KindOf(o)
		if k == nil {
			errs = append(errs, fmt.Errorf("fake: object %d: got a %T, want a non-nil Namespace, Node, ServiceAccount, Secret, Pod, ConfigMap or ClusterTrustBundle", i, o))
			continue
		}
		obj := object.DropEmpty(object.CopyOf(o.(object.Object)))
		id := k.Resource + " " + obj.GetNamespace() + "/" + obj.GetName()
		_, exists := s.state.Get(k, obj.GetNamespace(), obj.GetName())
		switch err := apirules.ValidateMetadata(k, obj); {
		case err != nil:
			errs = append(errs, fmt.Errorf("fake: object %d: %w", i, err))
		case exists || seen[id]:
			errs = append(errs, fmt.Errorf("fake: object %d: %s %q exists already", i, k.Resource, strings.TrimPrefix(obj.GetNamespace()+"/"+obj.GetName(), "/")))
		}
		seen[id] = true
		loaded = append(loaded, obj)
	}
	return loaded, errors.Join(errs...)
}

func (s *Server) load(k *object.Kind, o object.Object) {
	given := object.CopyOf(o)
	apirules.PrepareCreate(o)
	switch o := o.(type) {
	case *corev1.Pod:
		o.Status = given.(*corev1.Pod).Status
	case *corev1.Namespace:
		if phase := given.(*corev1.Namespace).Status.Phase; phase != "" {
			o.Status.Phase = phase
		}
		if o.DeletionTimestamp != nil {
			o.Status.Phase = corev1.NamespaceTerminating
		}
	}
	if o.GetUID() == "" {
		o.SetUID(s.uids.Next(s.seed()))
	}
	if created := o.GetCreationTimestamp(); created.IsZero() {
		o.SetCreationTimestamp(s.now())
	}
	apirules.ClearTypeMeta(o)
	s.commit(k, o, nil)
}
