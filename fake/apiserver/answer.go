package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/apiserver/internal/view"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// responseWriter remembers which status was sent.
type responseWriter struct {
	http.ResponseWriter
	status int
}

func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sendJSON answers with document.
func (c *call) sendJSON(status int, document any) error {
	data, err := json.Marshal(document)
	if err == nil && c.pretty {
		var indented bytes.Buffer
		err = json.Indent(&indented, data, "", "  ")
		data = indented.Bytes()
	}
	if err != nil {
		return apierrors.NewInternalError(errors.New("the answer can't be encoded"))
	}
	c.answer.Header().Set("Content-Type", "application/json")
	c.send(status, append(data, '\n'))
	return nil
}

// sendObject answers with a copy of o, in the form that the client wants.
func (c *call) sendObject(status int, k *object.Kind, o object.Object) error {
	if c.view.OfList {
		return errNotAcceptable(fmt.Sprintf("you requested PartialObjectMetadataList, but the requested object is not a list (*core.%s)", k.Name))
	}
	if c.view.Table {
		return c.sendJSON(status, c.tableOf(k, []object.Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()}))
	}
	return c.sendJSON(status, c.view.Of(k, object.CopyOf(o)))
}

// sendList answers with what was found, in the form that the client wants.
func (c *call) sendList(k *object.Kind, found object.Page) error {
	if c.view.Table {
		return c.sendJSON(http.StatusOK, c.tableOf(k, found.Items, found.Meta))
	}
	if c.view.Metadata && !c.view.OfList {
		return errNotAcceptable(fmt.Sprintf("you requested PartialObjectMetadata, but the requested object is a list (*core.%sList)", k.Name))
	}
	if c.view.Metadata {
		list := metav1.PartialObjectMetadataList{ListMeta: found.Meta}
		list.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
		for _, o := range found.Items {
			list.Items = append(list.Items, *view.Metadata(o))
		}
		return c.sendJSON(http.StatusOK, &list)
	}
	list := k.List(found)
	list.GetObjectKind().SetGroupVersionKind(k.GroupVersion().WithKind(k.Name + "List"))
	return c.sendJSON(http.StatusOK, list)
}

// sendEvents answers that nothing was recorded.
func (c *call) sendEvents() error {
	meta := metav1.ListMeta{ResourceVersion: c.cluster.Revision()}
	if c.view.Table {
		return c.sendJSON(http.StatusOK, view.EventTable(meta))
	}
	return c.sendJSON(http.StatusOK, &corev1.EventList{
		TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}, ListMeta: meta, Items: []corev1.Event{},
	})
}

// tableOf returns items as the table that the query asks for.
func (c *call) tableOf(k *object.Kind, items []object.Object, meta metav1.ListMeta) *metav1.Table {
	return view.Table(k, items, meta, metav1.IncludeObjectPolicy(c.query.Get("includeObject")), c.now().Time)
}

// sendText answers with what isn't about the API.
func (c *call) sendText(status int, text string) {
	c.answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.send(status, []byte(text))
}

func (c *call) send(status int, body []byte) {
	header := c.answer.Header()
	header.Set("Cache-Control", "no-cache, private")
	header.Set("X-Content-Type-Options", "nosniff")
	c.limitWrite()
	if !c.hasBody && c.request.ContentLength != 0 {
		// The server reads what is left of a body before it sends the answer.
		_ = http.NewResponseController(c.answer).SetReadDeadline(time.Now().Add(maxRest))
	}
	c.answer.WriteHeader(status)
	_, _ = c.answer.Write(body) // a client that is gone is told nothing
}

// maxRest bounds how long an answer waits for the rest of a body that nobody wants.
const maxRest = time.Second

// maxWrite bounds how long a client may take for an answer, or an event of a watch.
const maxWrite = time.Minute

// limitWrite makes the next write fail if the client doesn't take it, so that it holds
// up nothing for ever. The server has no limit for the next request.
func (c *call) limitWrite() {
	_ = http.NewResponseController(c.answer).SetWriteDeadline(time.Now().Add(maxWrite)) // some writers can't
}

// refuse answers with err as a Status.
func (c *call) refuse(err error) {
	c.out.Err = err
	status := statusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		c.answer.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	if status.Code == http.StatusUnauthorized {
		c.answer.Header().Set("WWW-Authenticate", "Bearer")
	}
	// A Status of texts and numbers can always be encoded.
	_ = c.sendJSON(int(status.Code), status)
}

// statusOf returns the status that a client gets for err.
func statusOf(err error) metav1.Status {
	var status metav1.Status
	var known apierrors.APIStatus
	switch {
	case errors.As(err, &known):
		status = known.Status()
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		status = apierrors.NewTimeoutError("the request was given up", 0).Status()
	default:
		status = apierrors.NewInternalError(err).Status()
	}
	if status.Code < 400 || status.Code > 599 {
		status.Code = http.StatusInternalServerError
	}
	status.Kind, status.APIVersion, status.Status = "Status", "v1", metav1.StatusFailure
	return status
}

func statusError(code int32, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: text,
	}}
}

func errNotAcceptable(text string) error {
	return statusError(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, text)
}

func errNoSuchPath() error {
	return errNoRoute(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

// errNoRoute is what an API server answers before it knows what a request is about.
func errNoRoute(code int32, reason metav1.StatusReason, text string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: text, Details: &metav1.StatusDetails{},
	}}
}

func errUnauthorized() error { return apierrors.NewUnauthorized("Unauthorized") }

// allow refuses other methods than those.
func (c *call) allow(methods ...string) error {
	for _, m := range methods {
		if m == c.request.Method {
			return nil
		}
	}
	c.answer.Header().Set("Allow", strings.Join(methods, ", "))
	return errNoRoute(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the server does not allow this method on the requested resource")
}

// The bounds of one warning, and of those of one response, in bytes.
const (
	maxWarning  = 1 << 10
	maxWarnings = 4 << 10
)

// warn adds a Warning header (RFC 9110 took it out, Kubernetes has kept it), unless
// the text was sent already or there are too many.
func (c *call) warn(text string) {
	if len(text) > maxWarning {
		text = strings.ToValidUTF8(text[:maxWarning], "")
	}
	if text == "" || c.warned[text] || c.warnings+len(text) > maxWarnings {
		return
	}
	if c.warned == nil {
		c.warned = map[string]bool{}
	}
	c.warned[text], c.warnings = true, c.warnings+len(text)
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r > '~':
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	c.answer.Header().Add("Warning", `299 - "`+b.String()+`"`)
}

// success is the answer to a delete that leaves nothing.
func success(gr schema.GroupResource, o object.Object) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: o.GetName(), Group: gr.Group, Kind: gr.Resource, UID: o.GetUID()},
	}
}
