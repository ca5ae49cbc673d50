// Package patch applies JSON patches, JSON merge patches and strategic merge
// patches to objects, with the libraries that the API server uses and in the
// order in which it checks them.
//
// Errors are those of the API server but for what they show: none has a value
// of the object or of the patch, which may be a Secret's.
package patch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// The bounds of a JSON patch, which are the API server's but for the last.
const (
	maxOperations  = 10000
	maxCopiedBytes = 3 << 20
	maxPathParts   = 1000
)

// A Patch is a patch that was decoded.
type Patch struct {
	patchType  types.PatchType
	data       []byte
	operations jsonpatch.Patch // of a JSON patch
	changes    map[string]any  // of the others
}

// CheckType returns the API server's 415 for types that can't be applied.
func CheckType(patchType types.PatchType) error {
	switch patchType {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType:
		return nil
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s, %s, %s",
			types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType),
	}}
}

// Parse decodes a patch. It keeps data.
func Parse(patchType types.PatchType, data []byte) (*Patch, error) {
	if err := CheckType(patchType); err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, apierrors.NewBadRequest("invalid JSON patch")
	}
	p := &Patch{patchType: patchType, data: data}
	var err error
	switch patchType {
	case types.JSONPatchType:
		if p.operations, err = jsonpatch.DecodePatch(data); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if n := len(p.operations); n > maxOperations {
			return nil, apierrors.NewRequestEntityTooLargeError(
				fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, n))
		}
	case types.MergePatchType:
		if err := utiljson.Unmarshal(data, &p.changes); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
	case types.StrategicMergePatchType:
		if err := utiljson.Unmarshal(data, &p.changes); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	return p, nil
}

// Apply stores the patched form of old in into, an empty object of the same
// type. It doesn't change old.
func (p *Patch) Apply(old, into runtime.Object) error {
	document, err := p.Document(old)
	if err != nil {
		return err
	}
	if err := utiljson.Unmarshal(document, into); err != nil {
		return doesNotFit(into)
	}
	return nil
}

// Document returns the patched form of old in JSON, with fields that objects of its
// type don't have.
func (p *Patch) Document(old runtime.Object) ([]byte, error) {
	if p.patchType == types.StrategicMergePatchType {
		patched, err := p.strategic(old)
		if err != nil {
			return nil, err
		}
		return json.Marshal(patched)
	}
	document, err := json.Marshal(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if p.patchType == types.JSONPatchType {
		if document, err = applyOperations(document, p.operations); err != nil {
			return nil, unprocessable(err.Error())
		}
	} else if document, err = jsonpatch.MergePatch(document, p.data); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return document, nil
}

// applyOperations applies operations in order. What copies and moves is applied
// alone: copies of copies double, so the document is measured after each (the
// API server sets a process-wide limit of the library instead, which is not a
// fake's to set), and moves into what was moved nest, which encoding/json bounds.
func applyOperations(document []byte, operations jsonpatch.Patch) ([]byte, error) {
	copied := int64(0)
	for len(operations) > 0 {
		n := slices.IndexFunc(operations, transfers)
		if n < 0 {
			n = len(operations)
		}
		n = max(n, 1)
		for _, o := range operations[:n] {
			if err := checkPaths(o); err != nil {
				return nil, err
			}
		}
		next, err := operations[:n].Apply(document)
		if _, ok := errors.AsType[*json.MarshalerError](err); ok { // its text has a line a level
			return nil, errors.New("the result is nested too deeply")
		}
		if err != nil {
			return nil, err
		}
		if transfers(operations[0]) {
			copied += max(0, int64(len(next)-len(document)))
		}
		if copied > maxCopiedBytes {
			return nil, jsonpatch.NewAccumulatedCopySizeError(maxCopiedBytes, copied)
		}
		document, operations = next, operations[n:]
	}
	return document, nil
}

func transfers(o jsonpatch.Operation) bool { return o.Kind() == "copy" || o.Kind() == "move" }

func checkPaths(o jsonpatch.Operation) error {
	path, _ := o.Path()
	from, _ := o.From()
	if max(strings.Count(path, "/"), strings.Count(from, "/")) > maxPathParts {
		return fmt.Errorf("a path has more than %d parts", maxPathParts)
	}
	return nil
}

func (p *Patch) strategic(old runtime.Object) (map[string]any, error) {
	document, err := runtime.DefaultUnstructuredConverter.ToUnstructured(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	// The library may use parts of its arguments in the result, and takes old for
	// its type only.
	patched, err := strategicpatch.StrategicMergeMapPatch(document, runtime.DeepCopyJSON(p.changes), old)
	if err != nil {
		return nil, strategicError(err)
	}
	return patched, nil
}

// strategicError returns the API server's answer. Other errors than these are
// 500 there, and show the patch.
func strategicError(err error) error {
	switch err {
	case mergepatch.ErrBadJSONDoc, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrUnsupportedStrategicMergePatchFormat:
		return apierrors.NewBadRequest(err.Error())
	}
	return apierrors.NewBadRequest("the strategic merge patch can't be applied: a list item has no merge key, or a directive is malformed")
}

func doesNotFit(o runtime.Object) error {
	return unprocessable(fmt.Sprintf("the patch does not give a valid %s", reflect.TypeOf(o).Elem().Name()))
}

// unprocessable answers a patch that is well formed and can't be applied to
// this object. The API server doesn't say why.
func unprocessable(text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: text,
	}}
}
