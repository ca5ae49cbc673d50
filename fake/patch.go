package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// patch applies data to the stored object, and stores the result under the
// rules of an update.
func (c *Cluster) patch(ctx context.Context, k *kind, subresource, namespace, name string, pt types.PatchType, data []byte, dryRun []string) (object, error) {
	if err := checkPath(k, namespace, name); err != nil {
		return nil, err
	}
	if err := checkDryRun(dryRun); err != nil {
		return nil, err
	}
	data = slices.Clone(data)
	apply, err := parsePatch(k, pt, data)
	if err != nil {
		return nil, err
	}
	var stored object
	action := &Action{Op: Op{
		Verb: "patch", Resource: k.resource, Subresource: subresource,
		Namespace: namespace, Name: name, PatchType: pt, Patch: data,
	}}
	err = c.call(ctx, action, func() error {
		old, exists := c.state.get(k, namespace, name)
		if !exists {
			return apierrors.NewNotFound(k.groupResource(), name)
		}
		patched, err := patchObject(k, old, apply)
		if err != nil {
			return err
		}
		stored, err = c.replace(k, subresource, patched, old, len(dryRun) > 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// patchObject returns old with a patch applied to its JSON form.
func patchObject(k *kind, old object, apply func(document any) (any, error)) (object, error) {
	document, err := toDocument(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	result, err := apply(document)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(result)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	patched := k.new()
	// Names are case-sensitive, unlike those of encoding/json.
	if err := utiljson.Unmarshal(data, patched); err != nil {
		return nil, unprocessable(fmt.Sprintf("the patch does not give a valid %s", k.name))
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
	clearTypeMeta(patched)
	return dropEmpty(patched), nil
}

func toDocument(o object) (any, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return decodeDocument(data)
}

func decodeDocument(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var document any
	if err := dec.Decode(&document); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return document, nil
}

// parsePatch returns the function that applies a patch to a document.
func parsePatch(k *kind, pt types.PatchType, data []byte) (func(any) (any, error), error) {
	switch pt {
	case types.JSONPatchType:
		operations, err := parseJSONPatch(data)
		if err != nil {
			return nil, badPatch(err)
		}
		return func(document any) (any, error) {
			result, err := applyJSONPatch(document, operations)
			if err != nil {
				return nil, unprocessable(err.Error())
			}
			return result, nil
		}, nil
	case types.MergePatchType, types.StrategicMergePatchType:
		patch, err := decodeDocument(data)
		if err != nil {
			return nil, badPatch(err)
		}
		changes, ok := patch.(map[string]any)
		if !ok {
			return nil, badPatch(errors.New("want a JSON object"))
		}
		if pt == types.MergePatchType {
			return func(document any) (any, error) { return mergePatch(document, changes), nil }, nil
		}
		return func(document any) (any, error) {
			result, err := strategicPatch(document.(map[string]any), changes, reflect.TypeOf(k.new()).Elem())
			if err != nil {
				return nil, badPatch(err)
			}
			return result, nil
		}, nil
	}
	return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s, %s, %s",
			types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType),
	}}
}

func badPatch(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
}

// mergePatch applies a JSON merge patch (RFC 7386). It may change target.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, ok := target.(map[string]any)
	if !ok {
		result = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(result, key)
			continue
		}
		result[key] = mergePatch(result[key], value)
	}
	return result
}

// unprocessable answers a patch that is well formed but does not fit.
func unprocessable(text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: text,
	}}
}
