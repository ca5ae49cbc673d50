package apirules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

const maxAnnotations = 256 << 10 // bytes of all keys and values

func invalid(k *object.Kind, o object.Object, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(k.GroupKind(), o.GetName(), errs)
}

func validateMeta(k *object.Kind, o object.Object) field.ErrorList {
	path := field.NewPath("metadata")
	var errs field.ErrorList
	if base := o.GetGenerateName(); base != "" {
		for _, msg := range k.CheckName(maskTrailingDash(base)) {
			errs = append(errs, field.Invalid(path.Child("generateName"), base, msg))
		}
	}
	if o.GetName() == "" {
		errs = append(errs, field.Required(path.Child("name"), "name or generateName is required"))
	} else {
		for _, msg := range k.CheckName(o.GetName()) {
			errs = append(errs, field.Invalid(path.Child("name"), o.GetName(), msg))
		}
	}
	errs = append(errs, validateNamespaceField(k, o, path.Child("namespace"))...)
	errs = append(errs, validateLabels(o.GetLabels(), path.Child("labels"))...)
	errs = append(errs, validateAnnotations(o.GetAnnotations(), path.Child("annotations"))...)
	errs = append(errs, apivalidation.ValidateOwnerReferences(o.GetOwnerReferences(), path.Child("ownerReferences"))...)
	errs = append(errs, validateFinalizers(o.GetFinalizers(), path.Child("finalizers"))...)
	return errs
}

// maskTrailingDash makes the end of a generateName valid: more will follow it.
func maskTrailingDash(name string) string {
	if len(name) > 1 && strings.HasSuffix(name, "-") {
		return name[:len(name)-2] + "a"
	}
	return name
}

func validateNamespaceField(k *object.Kind, o object.Object, path *field.Path) field.ErrorList {
	switch namespace := o.GetNamespace(); {
	case !k.Namespaced && namespace != "":
		return field.ErrorList{field.Forbidden(path, "not allowed on this type")}
	case k.Namespaced && namespace == "":
		return field.ErrorList{field.Required(path, "")}
	case k.Namespaced:
		var errs field.ErrorList
		for _, msg := range validation.IsDNS1123Label(namespace) {
			errs = append(errs, field.Invalid(path, namespace, msg))
		}
		return errs
	}
	return nil
}

func validateLabels(labels map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		for _, msg := range validation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(path, key, msg))
		}
		for _, msg := range validation.IsValidLabelValue(labels[key]) {
			errs = append(errs, field.Invalid(path, labels[key], msg))
		}
	}
	return errs
}

func validateAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		for _, msg := range validation.IsQualifiedName(strings.ToLower(key)) {
			errs = append(errs, field.Invalid(path, key, msg))
		}
		size += len(key) + len(annotations[key])
	}
	if size > maxAnnotations {
		errs = append(errs, field.TooLong(path, "", maxAnnotations))
	}
	return errs
}

func validateFinalizers(finalizers []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range finalizers {
		errs = append(errs, validateFinalizer(name, path.Index(i))...)
	}
	return errs
}

func validateFinalizer(name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range validation.IsQualifiedName(name) {
		errs = append(errs, field.Invalid(at, name, msg))
	}
	if !strings.Contains(name, "/") && name != "kubernetes" && name != metav1.FinalizerOrphanDependents && name != metav1.FinalizerDeleteDependents {
		errs = append(errs, field.Invalid(at, name, "name is neither a standard finalizer name nor is it fully qualified"))
	}
	return errs
}

func validateMetaUpdate(o, old object.Object) field.ErrorList {
	path := field.NewPath("metadata")
	var errs field.ErrorList
	if at := o.GetDeletionTimestamp(); !at.Equal(old.GetDeletionTimestamp()) {
		errs = append(errs, field.Invalid(path.Child("deletionTimestamp"), at, immutableField))
	}
	if grace, was := o.GetDeletionGracePeriodSeconds(), old.GetDeletionGracePeriodSeconds(); !equality.Semantic.DeepEqual(grace, was) {
		errs = append(errs, field.Invalid(path.Child("deletionGracePeriodSeconds"), grace, immutableField))
	}
	if old.GetDeletionTimestamp() == nil {
		return errs
	}
	added := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(name string) bool {
		return slices.Contains(old.GetFinalizers(), name)
	})
	if len(added) == 0 {
		return errs
	}
	return append(errs, field.Forbidden(path.Child("finalizers"),
		fmt.Sprintf("no new finalizers can be added if the object is being deleted, found new finalizers %#v", added)))
}
