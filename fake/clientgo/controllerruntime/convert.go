package controllerruntime

import (
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// take returns obj as an object of the type of typed, which it may fill in. Fields that
// the type doesn't have are an error if validation is strict, and left out otherwise.
func take(obj client.Object, typed runtime.Object, validation string) (runtime.Object, error) {
	if reflect.TypeOf(obj) == reflect.TypeOf(typed) {
		return obj, nil
	}
	if _, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return nil, apierrors.NewBadRequest("the object has only metadata, did you mean to patch?")
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, typed, validation == metav1.FieldValidationStrict)
	}
	if runtime.IsStrictDecodingError(err) { // names only
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err != nil { // its text might show what a Secret holds
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the object is no %T", typed))
	}
	return typed, nil
}

// give puts what a call has returned into the caller's object, unless it
// failed.
func give(o runtime.Object, err error, into runtime.Object, gvk schema.GroupVersionKind) error {
	if err != nil {
		return err
	}
	if reflect.TypeOf(o) == reflect.TypeOf(into) {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(o).Elem())
		return nil
	}
	if partial, ok := into.(*metav1.PartialObjectMetadata); ok {
		return givePartial(o, partial, gvk)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	u := unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	if to, ok := into.(*unstructured.Unstructured); ok {
		*to = u
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("a %s does not fit into a %T", gvk.Kind, into))
	}
	return nil
}

func givePartial(o runtime.Object, into *metav1.PartialObjectMetadata, gvk schema.GroupVersionKind) error {
	accessor, err := meta.Accessor(o)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	*into = *meta.AsPartialObjectMetadata(accessor)
	into.SetGroupVersionKind(gvk)
	return nil
}

// giveList is give for lists; gvk is that of the items.
func giveList(list runtime.Object, err error, into client.ObjectList, gvk schema.GroupVersionKind) error {
	if err != nil {
		return err
	}
	if reflect.TypeOf(list) == reflect.TypeOf(into) {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(list).Elem())
		return nil
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	for i, item := range items {
		converted := itemOf(into)
		if err := give(item, nil, converted, gvk); err != nil {
			return err
		}
		items[i] = converted
	}
	if err := meta.SetList(into, items); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("a list of %s does not fit into a %T", gvk.Kind, into))
	}
	from, err := meta.ListAccessor(list)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	into.SetResourceVersion(from.GetResourceVersion())
	into.SetContinue(from.GetContinue())
	into.SetRemainingItemCount(from.GetRemainingItemCount())
	into.GetObjectKind().SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	return nil
}

// itemOf returns a new object of the type that list holds; all but lists of
// metadata are given unstructured ones.
func itemOf(list client.ObjectList) runtime.Object {
	if _, ok := list.(*metav1.PartialObjectMetadataList); ok {
		return &metav1.PartialObjectMetadata{}
	}
	return &unstructured.Unstructured{}
}

// watching returns w with its objects converted to what list holds.
func watching(w watch.Interface, list client.ObjectList, gvk schema.GroupVersionKind) watch.Interface {
	switch list.(type) {
	case *metav1.PartialObjectMetadataList, *unstructured.UnstructuredList:
	default:
		return w
	}
	return watch.Filter(w, func(event watch.Event) (watch.Event, bool) {
		if event.Type == watch.Error {
			return event, true
		}
		converted := itemOf(list)
		if err := give(event.Object, nil, converted, gvk); err != nil {
			status := apierrors.NewInternalError(err).Status()
			return watch.Event{Type: watch.Error, Object: &status}, true
		}
		event.Object = converted
		return event, true
	})
}
