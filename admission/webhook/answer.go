package webhook

import (
	"encoding/base64"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/strictjson"
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
	buf = strictjson.AppendText(buf, uid)
	buf = append(buf, `,"allowed":`...)
	if a.denial == nil {
		buf = append(buf, "true"...)
	} else {
		buf = append(buf, `false,"status":`...)
		status, _ := json.Marshal(a.denial.ErrStatus) // a struct of texts and numbers always can be
		buf = append(buf, status...)
	}
	if len(a.patch) > 0 { // never beside a denial
		buf = append(buf, `,"patch":"`...)
		buf = base64.StdEncoding.AppendEncode(buf, a.patch)
		buf = append(buf, `","patchType":"JSONPatch"`...)
	}
	if len(a.warnings) > 0 {
		warnings, _ := json.Marshal(a.warnings) // texts always can be
		buf = append(append(buf, `,"warnings":`...), warnings...)
	}
	return append(buf, "}}\n"...)
}
