package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
)

const mediaType = "application/json"

func (e *Endpoint) checkHeader(r *http.Request) error {
	if r.Method != http.MethodPost {
		return e.Error(http.StatusMethodNotAllowed, "want POST")
	}
	if types := r.Header["Content-Type"]; len(types) != 1 || types[0] != mediaType && !isJSON(types[0]) {
		return e.Error(http.StatusUnsupportedMediaType, "want the content type application/json")
	}
	for _, encoding := range r.Header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return e.Error(http.StatusUnsupportedMediaType, "want a body without a content encoding")
		}
	}
	return nil
}

// isJSON reports whether a content type with parameters is that of JSON, in UTF-8.
func isJSON(contentType string) bool {
	got, params, err := mime.ParseMediaType(contentType)
	charset, other := params["charset"]
	return err == nil && got == mediaType && (!other || strings.EqualFold(charset, "utf-8"))
}

// timeout returns how long the request may take. The API server says how long it
// waits; the answer has to be there a little earlier.
func (e *Endpoint) timeout(r *http.Request) (time.Duration, error) {
	given := r.URL.Query().Get("timeout")
	if given == "" {
		return e.Timeout, nil
	}
	d, _ := time.ParseDuration(given) // zero with an error
	if d <= 0 {
		return 0, e.Error(http.StatusBadRequest, "the query parameter timeout is not a positive duration")
	}
	return min(e.Timeout, d-min(d/10, 500*time.Millisecond)), nil
}

// maxPooled is the largest buffer that is kept, so that one huge request does not
// hold memory for good.
const maxPooled = 256 << 10

// read returns the body of r.
func (e *Endpoint) read(w http.ResponseWriter, r *http.Request, deadline time.Time) (string, error) {
	if r.Body == nil {
		return "", nil
	}
	// A body that trickles in must not hold the connection for longer than the
	// request may take, or the server allows. Of writers that know no deadlines, the
	// server has to do it. After a failure the deadline stays, because net/http goes on
	// to read what is left of the body; else it takes it away when the body ends.
	if own, _ := timeouts(r); own > 0 {
		if end := time.Now().Add(own); end.Before(deadline) {
			deadline = end
		}
	}
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
	if r.ContentLength > e.MaxBytes {
		return "", e.tooLarge()
	}
	buf, ok := e.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= maxPooled {
			buf.Reset()
			e.buffers.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, e.MaxBytes)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", e.tooLarge()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", e.Error(http.StatusRequestTimeout, "the body did not arrive in time")
		}
		return "", e.Error(http.StatusBadRequest, "the body could not be read")
	}
	return buf.String(), nil
}

func (e *Endpoint) tooLarge() error {
	return e.Error(http.StatusRequestEntityTooLarge, fmt.Sprintf("want a body of at most %d bytes", e.MaxBytes))
}
