package tokenreview

import (
	"context"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// What a TokenReview may be.
const (
	reviewKind     = "TokenReview"
	reviewVersion  = "authentication.k8s.io/v1"
	reviewV1beta1  = "authentication.k8s.io/v1beta1"
	maxReviewDepth = 32
)

// reviewNames are the names in a TokenReview that are used here. A name that differs
// from them only in case is rejected: another parser could read another review.
var reviewNames = []string{"kind", "apiVersion", "metadata", "namespace", "spec", "token", "audiences", "status"}

// parseReview reads a TokenReview, strictly: what it is, its namespace, token
// and audiences (REV-1). It ends when ctx is done. The fault holds nothing of the
// text.
func parseReview(ctx context.Context, body string, v1beta1 bool) (_ *authenticationv1.TokenReview, fault string) {
	s := &strictjson.Scanner{Source: body, MaxDepth: maxReviewDepth, Reserved: reviewNames, Context: ctx}
	review := new(authenticationv1.TokenReview)
	s.Object()
	for name := range s.Members {
		switch name {
		case "kind":
			if s.Want('"', "kind is not a string") {
				review.Kind = s.Text()
			}
		case "apiVersion":
			if s.Want('"', "apiVersion is not a string") {
				review.APIVersion = s.Text()
			}
		case "metadata":
			if s.Next() != 'n' && s.Want('{', "metadata is not an object") { // null
				readMetadata(s, review)
			}
		case "spec":
			if s.Want('{', "spec is not an object") {
				readSpec(s, &review.Spec)
			}
		}
	}
	if err := s.End(); err != nil {
		return nil, err.Error()
	}
	if review.Kind != reviewKind || review.APIVersion != reviewVersion && !(v1beta1 && review.APIVersion == reviewV1beta1) {
		text := "not a TokenReview: want the kind " + reviewKind + " of " + reviewVersion
		if review.APIVersion == reviewV1beta1 {
			text += "; set kube-apiserver's flag --authentication-token-webhook-version to v1"
		}
		return nil, text
	}
	return review, ""
}

func readMetadata(s *strictjson.Scanner, review *authenticationv1.TokenReview) {
	for name := range s.Members {
		if name == "namespace" && s.Want('"', "metadata.namespace is not a string") {
			review.Namespace = s.Text()
		}
	}
}

// readSpec copies what it reads, so that who keeps a token doesn't keep the body.
func readSpec(s *strictjson.Scanner, spec *authenticationv1.TokenReviewSpec) {
	for name := range s.Members {
		switch name {
		case "token":
			if s.Want('"', "spec.token is not a string") {
				spec.Token = strings.Clone(s.Text())
			}
		case "audiences":
			if s.Next() == 'n' || !s.Want('[', "spec.audiences is not a list") { // null is what some clients write for none
				continue
			}
			for range s.Elements {
				if s.Want('"', "spec.audiences has an element that is not a string") {
					spec.Audiences = append(spec.Audiences, strings.Clone(s.Text()))
				}
			}
		}
	}
}
