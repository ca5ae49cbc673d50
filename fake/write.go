package fake

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const optimisticLock = "the object has been modified; please apply your changes to the latest version and try again"

// create stores a copy of sent, and returns the stored object, which the caller
// must copy.
func (c *Cluster) create(ctx context.Context, k *kind, sent object, dryRun []string) (object, error) {
	o, err := accept(k, sent)
	if err != nil {
		return nil, err
	}
	if err := checkDryRun(dryRun); err != nil {
		return nil, err
	}
	if k.namespaced && o.GetNamespace() == "" {
		return nil, apierrors.NewBadRequest("an empty namespace may not be set during creation")
	}
	var created object
	action := &Action{Op: Op{Verb: "create", Resource: k.resource, Namespace: o.GetNamespace(), Name: o.GetName(), Object: copyOf(o)}}
	dropEmpty(o)
	err = c.call(ctx, action, func() error {
		if err := c.checkNamespace(k, o); err != nil {
			return err
		}
		if err := c.prepareNew(k, o); err != nil {
			return err
		}
		if o.GetGenerateName() != "" {
			action.Name = o.GetName()
		}
		if old, exists := c.state.get(k, o.GetNamespace(), o.GetName()); exists {
			err := apierrors.NewAlreadyExists(k.groupResource(), o.GetName())
			if old.GetDeletionTimestamp() != nil {
				err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
			}
			return err
		}
		created = o
		if len(dryRun) == 0 {
			c.commit(k, o, nil)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// prepareNew fills in what the server owns and judges the result.
func (c *Cluster) prepareNew(k *kind, o object) error {
	if o.GetResourceVersion() != "" && o.GetResourceVersion() != "0" {
		return internalError("resourceVersion should not be set on objects to be created")
	}
	o.SetResourceVersion("")
	o.SetSelfLink("")
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetCreationTimestamp(c.now())
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(c.nextName(k, o.GetNamespace(), o.GetGenerateName()))
	}
	if k.prepareCreate != nil {
		k.prepareCreate(o)
	}
	if err := judgeObject(k, o); err != nil {
		return err
	}
	o.SetUID(c.nextUID())
	return nil
}

// update replaces the stored object by a copy of sent, or only the part that
// subresource names.
func (c *Cluster) update(ctx context.Context, k *kind, subresource string, sent object, dryRun []string) (object, error) {
	o, err := accept(k, sent)
	if err != nil {
		return nil, err
	}
	if err := checkDryRun(dryRun); err != nil {
		return nil, err
	}
	if err := checkPath(k, o.GetNamespace(), o.GetName()); err != nil {
		return nil, err
	}
	var stored object
	action := &Action{Op: Op{
		Verb: "update", Resource: k.resource, Subresource: subresource,
		Namespace: o.GetNamespace(), Name: o.GetName(), Object: copyOf(o),
	}}
	dropEmpty(o)
	err = c.call(ctx, action, func() error {
		old, exists := c.state.get(k, o.GetNamespace(), o.GetName())
		if !exists {
			return apierrors.NewNotFound(k.groupResource(), o.GetName())
		}
		var err error
		stored, err = c.replace(k, subresource, o, old, len(dryRun) > 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// replace judges o as the successor of old and stores it. An object that is
// being deleted goes away with its last finalizer.
func (c *Cluster) replace(k *kind, subresource string, o, old object, dryRun bool) (object, error) {
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, conflict(k, o.GetName(), uidMismatch(uid, old.GetUID()))
	}
	if rv := o.GetResourceVersion(); rv != "" && rv != "0" && rv != old.GetResourceVersion() {
		return nil, conflict(k, o.GetName(), optimisticLock)
	}
	o, err := part(k, subresource, o, old)
	if err != nil {
		return nil, err
	}
	keepMeta(o, old)
	if k.prepareUpdate != nil && subresource == "" {
		k.prepareUpdate(o, old)
	}
	if err := judgeUpdate(k, subresource, o, old); err != nil {
		return nil, err
	}
	if dryRun {
		return o, nil
	}
	if gone(k, o) {
		o.SetResourceVersion(c.expunge(k, old).GetResourceVersion())
		return o, nil // watches see the old one go
	}
	// An update that changes nothing is not written: no new resourceVersion
	// and no event.
	if equality.Semantic.DeepEqual(o, old) {
		return old, nil
	}
	c.commit(k, o, old)
	return o, nil
}

// keepMeta restores the metadata that an update can't change. To begin a
// deletion is not forgiven, see validateMetaUpdate.
func keepMeta(o, old object) {
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

// gone reports whether nothing keeps o any more.
func gone(k *kind, o object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	if ns, ok := o.(*corev1.Namespace); ok {
		return len(ns.Spec.Finalizers) == 0
	}
	grace := o.GetDeletionGracePeriodSeconds()
	return k != pods || grace == nil || *grace == 0
}

// accept returns a copy of what a client sent.
func accept(k *kind, sent object) (object, error) {
	if kindOf(sent) != k {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("fake: got a %T, want a non-nil %s", sent, k.name))
	}
	if gvk := sent.GetObjectKind().GroupVersionKind(); gvk.Kind != "" && gvk != corev1.SchemeGroupVersion.WithKind(k.name) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the kind in the data (%s) does not match the expected kind (%s)", gvk, corev1.SchemeGroupVersion.WithKind(k.name)))
	}
	o := copyOf(sent)
	clearTypeMeta(o)
	return o, nil
}

func clearTypeMeta(o runtime.Object) {
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
}

func checkDryRun(dryRun []string) error {
	for _, value := range dryRun {
		if value != metav1.DryRunAll {
			errs := field.ErrorList{field.NotSupported(field.NewPath("dryRun"), value, []string{metav1.DryRunAll})}
			return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "Options"}, "", errs)
		}
	}
	return nil
}

func conflict(k *kind, name, reason string) error {
	return apierrors.NewConflict(k.groupResource(), name, errors.New(reason))
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
