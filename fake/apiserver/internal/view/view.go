package view

import (
	"cmp"
	"mime"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// View is the form in which a client wants objects: whole if it is zero.
type View struct {
	Table, Metadata bool
	OfList          bool // the metadata of a list, which an object can't be, nor a list one object
}

// clause is one item of an Accept header.
type clause struct {
	mediaType string
	params    map[string]string
	quality   float64
}

// Negotiate finds the form in Accept headers that the client likes best of those that
// can be served: other forms than the whole if there are objects, and streams for
// watches. No header at all asks for JSON.
func Negotiate(headers []string, objects, watching bool) (View, bool) {
	clauses := accepted(headers)
	for _, c := range clauses {
		if c.quality <= 0 || c.mediaType != "application/json" && c.mediaType != "application/*" && c.mediaType != "*/*" {
			continue
		}
		if stream := c.params["stream"]; stream != "" && (stream != "watch" || !watching) {
			continue
		}
		switch as := c.params["as"]; {
		case as == "":
			return View{}, true
		case !objects || c.params["g"] != metav1.GroupName || c.params["v"] != "v1":
		case as == "Table":
			return View{Table: true}, true
		case as == "PartialObjectMetadata" || as == "PartialObjectMetadataList":
			return View{Metadata: true, OfList: as == "PartialObjectMetadataList"}, true
		}
	}
	return View{}, len(clauses) == 0
}

// accepted returns the items of Accept headers, those that the client likes best
// first.
func accepted(headers []string) []clause {
	var clauses []clause
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(item) == "" {
				continue
			}
			var c clause // of quality 0 if it is malformed
			var err error
			if c.mediaType, c.params, err = mime.ParseMediaType(item); err == nil {
				if c.quality, err = strconv.ParseFloat(c.params["q"], 64); err != nil {
					c.quality = 1
				}
			}
			clauses = append(clauses, c)
		}
	}
	slices.SortStableFunc(clauses, func(a, b clause) int { return cmp.Compare(b.quality, a.quality) })
	return clauses
}

// Of returns o, or its metadata, with its kind. It may change o.
func (v View) Of(k *object.Kind, o object.Object) runtime.Object {
	if v.Metadata {
		return Metadata(o)
	}
	o.GetObjectKind().SetGroupVersionKind(k.GroupVersion().WithKind(k.Name))
	return o
}

// Metadata returns o without what makes its kind.
func Metadata(o object.Object) *metav1.PartialObjectMetadata {
	partial := new(metav1.PartialObjectMetadata)
	partial.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
	o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta).DeepCopyInto(&partial.ObjectMeta)
	return partial
}
