package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// maxBody bounds the body of a request, as the API server does.
const maxBody = 3 << 20

// mediaType returns the media type of the request, "" if it has none.
func (c *call) mediaType() (string, error) {
	if encoding := c.request.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return "", unsupportedMediaType("a body without a content encoding")
	}
	header := c.request.Header.Get("Content-Type")
	if header == "" {
		return "", nil
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "", unsupportedMediaType("a content type that can be read")
	}
	return mediaType, nil
}

func unsupportedMediaType(want string) error {
	return statusError(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
		"the body of the request was in an unknown format, want "+want)
}

// body reads the body.
func (c *call) body() ([]byte, error) {
	tooLarge := apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
	if c.request.ContentLength > maxBody {
		return nil, tooLarge
	}
	if c.request.Body == nil {
		return nil, nil
	}
	// A body that doesn't come holds up this request only, and not for ever.
	control := http.NewResponseController(c.answer)
	if deadline, ok := c.ctx.Deadline(); ok {
		_ = control.SetReadDeadline(deadline) // some readers can't
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.answer.ResponseWriter, c.request.Body, maxBody))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, apierrors.NewTimeoutError("the body did not arrive in time", 0)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("the body could not be read")
	}
	c.hasBody = true
	_ = control.SetReadDeadline(time.Time{})
	return data, nil
}

// read decodes the body into an object of one of the kinds gvks. A body that
// doesn't say what it is, is taken for the first. Unknown fields are rejected or
// warned of as validation says.
func (c *call) read(into message, validation string, gvks ...schema.GroupVersionKind) error {
	data, err := c.body()
	if err != nil {
		return err
	}
	return c.decode(data, into, validation, gvks...)
}

func (c *call) decode(data []byte, into message, validation string, gvks ...schema.GroupVersionKind) error {
	mediaType, err := c.mediaType()
	if err != nil {
		return err
	}
	switch mediaType {
	case "", "application/json":
		if err := decodeJSON(data, into, gvks); err != nil {
			return err
		}
		return c.checkFields(data, into, validation, gvks[0])
	case protobufType:
		return decodeProtobuf(data, into, gvks)
	}
	return unsupportedMediaType("application/json, or " + protobufType)
}

// message is what a body can hold.
type message interface {
	runtime.Object
	Unmarshal(protobuf []byte) error
}

// decodeJSON decodes data. The error shows no value of it: it could be a secret.
func decodeJSON(data []byte, into message, gvks []schema.GroupVersionKind) error {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return apierrors.NewBadRequest(fmt.Sprintf("the body is not a JSON object, want a %s", gvks[0].Kind))
	}
	var whole json.RawMessage
	if e, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, &whole)); ok {
		return apierrors.NewBadRequest(fmt.Sprintf("the body is not valid JSON at byte %d", e.Offset))
	}
	var got metav1.TypeMeta
	if err := utiljson.Unmarshal(data, &got); err != nil {
		return badBody(err, gvks[0])
	}
	if err := checkKind(got, gvks); err != nil {
		return err
	}
	if err := utiljson.Unmarshal(data, into); err != nil {
		return badBody(err, gvks[0])
	}
	return nil
}

// What clients of built-in types send unless they were told not to: an envelope
// with the kind, and the object. Answers are JSON all the same.
const (
	protobufType   = "application/vnd.kubernetes.protobuf"
	protobufPrefix = "k8s\x00"
)

func decodeProtobuf(data []byte, into message, gvks []schema.GroupVersionKind) error {
	bad := apierrors.NewBadRequest(fmt.Sprintf("the body can't be read as a %s in protobuf", gvks[0].Kind))
	rest, ok := bytes.CutPrefix(data, []byte(protobufPrefix))
	var envelope runtime.Unknown
	if !ok || envelope.Unmarshal(rest) != nil {
		return bad
	}
	if err := checkKind(metav1.TypeMeta{Kind: envelope.Kind, APIVersion: envelope.APIVersion}, gvks); err != nil {
		return err
	}
	if into.Unmarshal(envelope.Raw) != nil {
		return bad
	}
	return nil
}

// checkKind compares what the body says it is with what was expected.
func checkKind(got metav1.TypeMeta, gvks []schema.GroupVersionKind) error {
	for _, gvk := range gvks {
		if (got.APIVersion == "" || got.APIVersion == gvk.GroupVersion().String()) && (got.Kind == "" || got.Kind == gvk.Kind) {
			return nil
		}
	}
	want := gvks[0]
	if got.APIVersion != "" && got.APIVersion != want.GroupVersion().String() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", got.APIVersion, want.GroupVersion()))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the kind in the data (%s) does not match the expected kind (%s)", got.Kind, want.Kind))
}

func badBody(err error, gvk schema.GroupVersionKind) error {
	text := fmt.Sprintf("the body can't be read as a %s", gvk.Kind)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		text += fmt.Sprintf(": %s is not a %s", e.Field, e.Type)
	}
	return apierrors.NewBadRequest(text)
}
