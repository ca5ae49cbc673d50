package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake"
)

// apply puts an object that is no pod into the cluster, or changes the one that is
// there, as kubectl apply does, and says which. An object with a UID is a copy of a
// live one, and keeps it.
func (p *plane) apply(ctx context.Context, f *finding) {
	var err error
	f.outcome, err = p.applyObject(ctx, f.object)
	if err != nil {
		f.deny(err.Error())
	}
}

func (p *plane) applyObject(ctx context.Context, o object) (outcome, error) {
	resource := p.resource(o)
	if resource == nil {
		return denied, errors.New("it has no pod template")
	}
	if err := checkMeta(o); err != nil {
		return denied, err
	}
	var old fake.Object
	if o.GetName() != "" {
		old = resource.Stored(o.GetNamespace(), o.GetName())
	}
	switch {
	case old == nil && o.GetUID() != "":
		return created, p.cluster.Load(o)
	case old == nil:
		_, err := resource.Create(ctx, o, metav1.CreateOptions{})
		return created, err
	}
	now, err := resource.Update(ctx, "", o, metav1.UpdateOptions{})
	switch {
	case err != nil:
		return denied, err
	case now.GetResourceVersion() == old.GetResourceVersion():
		return unchanged, nil
	}
	return configured, nil
}

// resource returns access to the objects of o's kind, nil if the cluster has none.
func (p *plane) resource(o object) *fake.Resource {
	switch o.(type) {
	case *corev1.Namespace:
		return p.cluster.Resource("namespaces")
	case *corev1.ServiceAccount:
		return p.cluster.Resource("serviceaccounts")
	case *corev1.Secret:
		return p.cluster.Resource("secrets")
	}
	return nil
}

// maxCronJobName is how long the name of a CronJob may be, as those of its Jobs are
// longer by eleven characters.
const maxCronJobName = 52

// checkMeta validates the metadata of o as the API server does.
func checkMeta(o object) error {
	_, isNamespace := o.(*corev1.Namespace)
	checkName := validation.NameIsDNSSubdomain
	if isNamespace {
		checkName = validation.ValidateNamespaceName
	}
	path := field.NewPath("metadata")
	meta := &metav1.ObjectMeta{
		Name: o.GetName(), GenerateName: o.GetGenerateName(), Namespace: o.GetNamespace(), Labels: o.GetLabels(),
		Annotations: o.GetAnnotations(), OwnerReferences: o.GetOwnerReferences(), Finalizers: o.GetFinalizers(),
	}
	if meta.Name == "" && meta.GenerateName != "" {
		meta.Name = meta.GenerateName + "2xk8b"
	}
	errs := validation.ValidateObjectMeta(meta, !isNamespace, checkName, path)
	if kindName(o) == "CronJob" && len(o.GetName()) > maxCronJobName {
		errs = append(errs, field.Invalid(path.Child("name"), o.GetName(), "must be no more than 52 characters"))
	}
	if len(errs) == 0 {
		return nil
	}
	kind := schema.GroupKind{Group: o.GetObjectKind().GroupVersionKind().Group, Kind: kindName(o)}
	return apierrors.NewInvalid(kind, o.GetName(), errs)
}
