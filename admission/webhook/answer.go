package webhook

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// An answer is the answer to a review. Without a denial it is allowed.
type answer struct {
	denial   *apierrors.StatusError
	patch    []byte
	warnings []string
}

// encode returns the AdmissionReview for the request with uid.
func (a *answer) encode(uid string) []byte {
	buf := make([]byte, 0, 256+base64.StdEncoding.EncodedLen(len(a.patch)))
	buf = append(buf, `{"kind":"`+reviewKind+`","apiVersion":"`+reviewVersion+`","response":{"uid":`...)
	buf = appendText(buf, uid)
	buf = append(buf, `,"allowed":`...)
	if a.denial == nil {
		buf = append(buf, "true"...)
	} else {
		buf = append(buf, `false,"status":`...)
		status, _ := json.Marshal(a.denial.ErrStatus) // a struct of texts and numbers always can be
		buf = append(buf, status...)
	}
	if a.denial == nil && len(a.patch) > 0 {
		buf = append(buf, `,"patch":"`...)
		buf = base64.StdEncoding.AppendEncode(buf, a.patch)
		buf = append(buf, `","patchType":"JSONPatch"`...)
	}
	for i, warning := range a.warnings {
		buf = append(buf, []string{`,"warnings":[`, ","}[min(i, 1)]...)
		buf = appendText(buf, warning)
	}
	if len(a.warnings) > 0 {
		buf = append(buf, ']')
	}
	return append(buf, "}}\n"...)
}

// appendText appends s as a JSON text. What is not valid UTF-8 is replaced.
func appendText(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for i := 0; i < len(s); {
		if c := s[i]; isPlain(c) {
			buf = append(buf, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			buf = append(buf, '\\', s[i])
		case r < ' ':
			const hex = "0123456789abcdef"
			buf = append(buf, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			buf = utf8.AppendRune(buf, r)
		}
		i += n
	}
	return append(buf, '"')
}

// isPlain reports whether c stands for itself in a string and needs no thought.
func isPlain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }
