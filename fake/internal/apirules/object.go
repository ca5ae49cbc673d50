package apirules

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

// CheckPath refuses what a client can't even send.
func CheckPath(k *object.Kind, namespace, name string) error {
	if name == "" {
		return apierrors.NewBadRequest("resource name may not be empty")
	}
	if k.Namespaced && namespace == "" {
		return apierrors.NewBadRequest("an empty namespace may not be set when a resource name is provided")
	}
	if msgs := content.IsPathSegmentName(name); len(msgs) > 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("Name parameter invalid: %q: %s", name, strings.Join(msgs, ";")))
	}
	return nil
}

// CheckPatched refuses a patch of what no patch can change. An update with the UID of
// another object is a conflict.
func CheckPatched(k *object.Kind, o, old object.Object) error {
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return invalid(k, old, field.ErrorList{field.Invalid(field.NewPath("metadata", "uid"), uid, immutableField)})
	}
	return nil
}

// Accept returns a copy of what a client sent.
func Accept(k *object.Kind, sent object.Object) (object.Object, error) {
	if object.KindOf(sent) != k {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: got a %T, want a non-nil %s", sent, k.Name))
	}
	if err := checkKind(k, sent); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	o := object.CopyOf(sent)
	ClearTypeMeta(o)
	if !k.Namespaced {
		o.SetNamespace("") // as the path of a request has none
	}
	return o, nil
}

// checkKind returns an error if o says that it is of another kind than k.
func checkKind(k *object.Kind, o object.Object) error {
	gvk := o.GetObjectKind().GroupVersionKind()
	if gvk.Kind != "" && gvk.Kind != k.Name || gvk.Version != "" && gvk.GroupVersion() != k.GroupVersion() {
		return fmt.Errorf("the kind in the data (%s) does not match the expected kind (%s)", gvk, k.GroupVersion().WithKind(k.Name))
	}
	return nil
}

// ClearTypeMeta removes the kind, which stored objects don't have.
func ClearTypeMeta(o runtime.Object) {
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
}

// CheckDryRun returns the API server's 422 for a dryRun that it doesn't know.
func CheckDryRun(dryRun []string) error {
	for _, value := range dryRun {
		if value != metav1.DryRunAll {
			errs := field.ErrorList{field.NotSupported(field.NewPath("dryRun"), value, []string{metav1.DryRunAll})}
			return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "Options"}, "", errs)
		}
	}
	return nil
}

// Conflict returns the API server's 409, with the reason.
func Conflict(k *object.Kind, name, reason string) error {
	return apierrors.NewConflict(k.GroupResource(), name, errors.New(reason))
}

func uidMismatch[T ~string](got, want T) string {
	return fmt.Sprintf("Precondition failed: UID in precondition: %v, UID in object meta: %v", got, want)
}

// internalError is how the API server answers what it has no better status for.
func internalError(text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: 500, Reason: metav1.StatusReasonUnknown, Message: text,
	}}
}

// PrepareMeta sets the metadata of a new object that the server owns.
func PrepareMeta(o object.Object, now metav1.Time) error {
	if rv, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64); err == nil && rv > 0 {
		return internalError("resourceVersion should not be set on objects to be created")
	}
	o.SetResourceVersion("")
	o.SetSelfLink("")
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetCreationTimestamp(now)
	return nil
}

// Successor returns the object that follows old when an update of subresource
// sends o.
func Successor(k *object.Kind, subresource string, o, old object.Object) (object.Object, error) {
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, Conflict(k, o.GetName(), uidMismatch(uid, old.GetUID()))
	}
	if rv := o.GetResourceVersion(); rv != "" && rv != "0" && rv != old.GetResourceVersion() {
		if _, err := strconv.ParseUint(rv, 10, 64); err != nil {
			return nil, internalError(err.Error())
		}
		return nil, Conflict(k, o.GetName(), object.OptimisticLock)
	}
	o, err := Part(k, subresource, o, old)
	if err != nil {
		return nil, err
	}
	KeepMeta(o, old)
	if subresource == object.ResizeSubresource {
		countResize(o.(*corev1.Pod), old.(*corev1.Pod))
	}
	if subresource == "" {
		prepareUpdate(o, old)
	}
	if err := validateUpdate(k, subresource, o, old); err != nil {
		return nil, err
	}
	return o, nil
}

// KeepMeta restores the metadata that an update can't change. To begin a
// deletion is not forgiven, see validateMetaUpdate.
func KeepMeta(o, old object.Object) {
	o.SetUID(old.GetUID())
	o.SetResourceVersion(old.GetResourceVersion())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	if old.GetDeletionTimestamp() != nil {
		o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
	o.SetSelfLink("")
	o.SetGeneration(old.GetGeneration())
}

// Part returns the object to store when an update of subresource sends o.
func Part(k *object.Kind, subresource string, o, old object.Object) (object.Object, error) {
	next := object.CopyOf(old)
	switch {
	case subresource == "":
		if k.SetStatus != nil {
			k.SetStatus(o, object.CopyOf(old))
		}
		return o, nil
	case subresource == "status" && k.Status:
		next.SetLabels(o.GetLabels())
		next.SetAnnotations(o.GetAnnotations())
		next.SetFinalizers(o.GetFinalizers())
		k.SetStatus(next, o)
		if ns, ok := next.(*corev1.Namespace); ok && ns.Status.Phase == "" {
			ns.Status.Phase = corev1.NamespaceActive
		}
	case subresource == "ephemeralcontainers" && k == object.Pods:
		next.(*corev1.Pod).Spec.EphemeralContainers = o.(*corev1.Pod).Spec.EphemeralContainers
	case subresource == object.ResizeSubresource && k == object.Pods:
		resize(next.(*corev1.Pod), o.(*corev1.Pod))
	case subresource == "finalize" && k == object.Namespaces:
		k.SetStatus(o, object.CopyOf(old))
		labelNamespace(o.(*corev1.Namespace))
		return o, nil
	default:
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: k.Resource + "/" + subresource}, o.GetName())
	}
	return next, nil
}

// PatchObject returns old with change applied.
func PatchObject(k *object.Kind, old object.Object, change *patch.Patch) (object.Object, error) {
	patched := k.New()
	if err := change.Apply(old, patched); err != nil {
		return nil, err
	}
	if err := checkKind(k, patched); err != nil {
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), "(not shown)", err.Error())})
	}
	if patched.GetNamespace() != old.GetNamespace() {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if patched.GetName() != old.GetName() {
		return nil, apierrors.NewBadRequest("the name of the object (" + patched.GetName() + ") does not match the name on the URL (" + old.GetName() + ")")
	}
	if patched.GetUID() == "" { // removed by the patch: kept
		patched.SetUID(old.GetUID())
	}
	ClearTypeMeta(patched)
	return object.DropEmpty(patched), nil
}
