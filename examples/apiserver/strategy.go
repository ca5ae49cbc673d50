package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
)

// A strategy says how the objects of a store are changed. It is that of all kinds, and
// does what this example needs of Kubernetes' strategies.
type strategy struct {
	runtime.ObjectTyper
	namespaced bool
}

func (s strategy) GenerateName(base string) string {
	return names.SimpleNameGenerator.GenerateName(base)
}
func (s strategy) NamespaceScoped() bool                                   { return s.namespaced }
func (strategy) AllowCreateOnUpdate(context.Context) bool                  { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool             { return true }
func (strategy) Canonicalize(runtime.Object)                               {}
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (strategy) PrepareForCreate(_ context.Context, object runtime.Object) { setDefaults(object) }

func (strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) { setDefaults(object) }

// setDefaults sets what clients rely on.
func setDefaults(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Namespace:
		o.Status.Phase = corev1.NamespaceActive
		if o.Labels == nil {
			o.Labels = map[string]string{}
		}
		o.Labels[corev1.LabelMetadataName] = o.Name
	case *corev1.Secret:
		if o.Type == "" {
			o.Type = corev1.SecretTypeOpaque
		}
		for key, value := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[key] = []byte(value)
		}
		o.StringData = nil
	case *corev1.Pod:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.PodPending // there is no scheduler
		}
	}
}

// Validate checks the name. RBAC has names such as system:basic-user.
func (s strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	kinds, _, err := s.ObjectKinds(object)
	m, err2 := meta.Accessor(object)
	if err != nil || err2 != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	check := validation.NameIsDNSSubdomain
	switch kinds[0].Kind {
	case "Namespace":
		check = validation.NameIsDNSLabel
	case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
		return nil
	}
	var errs field.ErrorList
	for _, problem := range check(m.GetName(), false) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), m.GetName(), problem))
	}
	return errs
}

// ValidateUpdate keeps what can't change: the owner of a token Secret has its token.
func (s strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	now, ok := object.(*corev1.Secret)
	before, _ := old.(*corev1.Secret)
	if ok && before != nil && now.Type != before.Type {
		return field.ErrorList{field.Invalid(field.NewPath("type"), now.Type, "field is immutable")}
	}
	return nil
}
