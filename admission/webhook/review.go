package webhook

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// A review is what is read of an AdmissionReview.
type review struct {
	apiVersion, kind string
	hasRequest       bool
	request          reviewRequest
}

type reviewRequest struct {
	uid, operation, namespace, name, subresource string
	kind, resource                               groupVersion
	dryRun                                       *bool
	object                                       podJSON
	oldEnforced                                  bool  // the old object has the EnforceAnnotation
	wrong                                        error // why object is not a pod
}

// enforceOnly are the annotations of the old object that are read.
var enforceOnly = &wanted{annotations: []string{admission.EnforceAnnotation}}

// A groupVersion is a GroupVersionKind or a GroupVersionResource.
type groupVersion struct{ group, version, name string }

func (g groupVersion) String() string {
	return strings.TrimPrefix(g.group+"/"+g.version+"/"+g.name, "/")
}

// parseReview reads src, which must be one strict JSON value, until ctx is done.
// Its error is about the form; whether it is a review that can be answered, check
// says.
func parseReview(ctx context.Context, src string, wanted *wanted) (*review, error) {
	s := newScanner(ctx, src)
	rv := new(review)
	s.Object()
	for key := range s.Members {
		switch key {
		case "apiVersion":
			rv.apiVersion = s.Text()
		case "kind":
			rv.kind = s.Text()
		case "request":
			rv.hasRequest = s.Next() == '{'
			rv.request.read(s, wanted)
		default:
			s.unknown(key, "apiVersion", "kind", "request")
		}
	}
	return rv, s.end()
}

// unknown is for a key that is not read. One that a lenient decoder would take for
// one of known is rejected: another reader of the review could see another request
// than this one.
func (s *scanner) unknown(key string, known ...string) {
	if k := strictjson.Imitated(key, known); k != "" {
		s.FailName("name that differs from "+k+" only in case", key)
	}
}

func (r *reviewRequest) read(s *scanner, wanted *wanted) {
	for key := range s.Members {
		switch key {
		case "uid":
			r.uid = s.Text()
		case "operation":
			r.operation = s.Text()
		case "namespace":
			r.namespace = s.Text()
		case "name":
			r.name = s.Text()
		case "subResource":
			r.subresource = s.Text()
		case "kind":
			r.kind.read(s, "kind")
		case "resource":
			r.resource.read(s, "resource")
		case "dryRun":
			r.dryRun = s.Bool()
		case "object":
			// What is wrong with the object counts only if it has to be a pod.
			before := s.Mismatch
			r.object.read(s, wanted)
			if s.Mismatch != before {
				r.wrong, s.Mismatch = s.Mismatch, before
			}
		case "oldObject":
			before := s.Mismatch
			var old podJSON
			old.readMetadataOnly(s)
			_, r.oldEnforced = old.pod.Annotations[admission.EnforceAnnotation]
			s.Mismatch = before
		default:
			s.unknown(key, "uid", "operation", "namespace", "name", "subResource", "kind", "resource", "dryRun",
				"object", "oldObject", "options", "userInfo", "requestKind", "requestResource", "requestSubResource")
		}
	}
}

func (g *groupVersion) read(s *scanner, nameKey string) {
	for key := range s.Members {
		switch key {
		case "group":
			g.group = s.Text()
		case "version":
			g.version = s.Text()
		case nameKey:
			g.name = s.Text()
		default:
			s.unknown(key, "group", "version", nameKey)
		}
	}
}

const (
	reviewKind    = "AdmissionReview"
	reviewGroup   = "admission.k8s.io/"
	reviewVersion = reviewGroup + "v1"
)

// check says why the review can't be answered, or nil.
func (rv *review) check() error {
	switch {
	case rv.kind != reviewKind || !strings.HasPrefix(rv.apiVersion, reviewGroup):
		return fmt.Errorf("got kind %s of %s, want %s of %s", names.Quote(rv.kind), names.Quote(rv.apiVersion), reviewKind, reviewVersion)
	case rv.apiVersion != reviewVersion:
		return fmt.Errorf("got an AdmissionReview of %s, want one of %s: set admissionReviewVersions of the webhook to [v1]",
			names.Quote(rv.apiVersion), reviewVersion)
	case !rv.hasRequest:
		return fmt.Errorf("the AdmissionReview has no request")
	case rv.request.uid == "":
		return fmt.Errorf("the request has no uid")
	}
	return nil
}
