package webhook

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubesa/serviceaccount/admission"
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
var enforceOnly = []string{admission.EnforceAnnotation}

// A groupVersion is a GroupVersionKind or a GroupVersionResource.
type groupVersion struct{ group, version, name string }

func (g groupVersion) String() string {
	return strings.TrimPrefix(g.group+"/"+g.version+"/"+g.name, "/")
}

// parseReview reads src, which must be one strict JSON value. Its error is about the
// form; whether it is a review that can be answered, check says.
func parseReview(src string, annotations []string) (*review, error) {
	s := &scanner{Scanner: strictjson.Scanner{Source: src, MaxDepth: maxDepth, NullIsAbsent: true}}
	rv := new(review)
	s.Object()
	_, err := s.object(func(key string) error {
		switch key {
		case "apiVersion":
			return s.str(&rv.apiVersion)
		case "kind":
			return s.str(&rv.kind)
		case "request":
			present, err := s.object(func(key string) error { return rv.request.member(s, key, annotations) })
			rv.hasRequest = present
			return err
		}
		return s.unknown(key, "apiVersion", "kind", "request")
	})
	if err == nil {
		err = s.end()
	}
	return rv, err
}

// unknown skips the value of a key that is not read. A key that a lenient decoder
// would take for one of known is rejected: another reader of the review could
// see another request than this one.
func (s *scanner) unknown(key string, known ...string) error {
	if k := strictjson.Imitated(key, known); k != "" {
		s.FailName("name that differs from "+k+" only in case", key)
	}
	return s.skip()
}

func (r *reviewRequest) member(s *scanner, key string, annotations []string) error {
	switch key {
	case "uid":
		return s.str(&r.uid)
	case "operation":
		return s.str(&r.operation)
	case "namespace":
		return s.str(&r.namespace)
	case "name":
		return s.str(&r.name)
	case "subResource":
		return s.str(&r.subresource)
	case "kind":
		return r.kind.read(s, "kind")
	case "resource":
		return r.resource.read(s, "resource")
	case "dryRun":
		return s.boolean(&r.dryRun)
	case "object":
		// What is wrong with the object counts only if it has to be a pod.
		before := s.Mismatch
		err := r.object.read(s, annotations)
		if s.Mismatch != before {
			r.wrong, s.Mismatch = s.Mismatch, before
		}
		return err
	case "oldObject":
		before := s.Mismatch
		var old podJSON
		err := old.readMetadataOnly(s)
		_, r.oldEnforced = old.pod.Annotations[admission.EnforceAnnotation]
		s.Mismatch = before
		return err
	}
	return s.unknown(key, "uid", "operation", "namespace", "name", "subResource", "kind", "resource", "dryRun",
		"object", "oldObject", "options", "userInfo", "requestKind", "requestResource", "requestSubResource")
}

func (g *groupVersion) read(s *scanner, nameKey string) error {
	_, err := s.object(func(key string) error {
		switch key {
		case "group":
			return s.str(&g.group)
		case "version":
			return s.str(&g.version)
		case nameKey:
			return s.str(&g.name)
		}
		return s.unknown(key, "group", "version", nameKey)
	})
	return err
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
		return fmt.Errorf("got kind %s of %s, want %s of %s", cut(rv.kind), cut(rv.apiVersion), reviewKind, reviewVersion)
	case rv.apiVersion != reviewVersion:
		return fmt.Errorf("got an AdmissionReview of %s, want one of %s: set admissionReviewVersions of the webhook to [v1]",
			cut(rv.apiVersion), reviewVersion)
	case !rv.hasRequest:
		return fmt.Errorf("the AdmissionReview has no request")
	case rv.request.uid == "":
		return fmt.Errorf("the request has no uid")
	}
	return nil
}

// cut quotes a text of the client, and bounds it.
func cut(text string) string {
	const longest = 64
	if len(text) > longest {
		return strconv.Quote(text[:longest]) + "…"
	}
	return strconv.Quote(text)
}
