package tokenreview

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// What a TokenReview may be.
const (
	reviewKind      = "TokenReview"
	reviewVersion   = "authentication.k8s.io/v1"
	reviewV1beta1   = "authentication.k8s.io/v1beta1"
	maxReviewDepth  = 32
	faultNotAString = " is not a string"
)

// reviewNames are the names in a TokenReview that are used here. A name that differs
// from them only in case is rejected: another parser could read another review.
var reviewNames = []string{"kind", "apiVersion", "metadata", "namespace", "spec", "token", "audiences", "status"}

// parseReview reads a TokenReview, strictly: what it is, its namespace, token
// and audiences (REV-1). The fault holds
// nothing of the text.
func parseReview(body string, v1beta1 bool) (_ *authenticationv1.TokenReview, fault string) {
	if err := strictjson.Check(body, maxReviewDepth, reviewNames); err != nil {
		return nil, err.Error()
	}
	review := new(authenticationv1.TokenReview)
	for name, value := range strictjson.Members(body) {
		ok := true
		switch name {
		case "kind":
			review.Kind, ok = strictjson.Text(value)
		case "apiVersion":
			review.APIVersion, ok = strictjson.Text(value)
		case "metadata":
			fault = parseReviewMetadata(review, value)
		case "spec":
			fault = parseReviewSpec(review, value)
		}
		switch {
		case !ok:
			return nil, name + faultNotAString
		case fault != "":
			return nil, fault
		}
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

func parseReviewMetadata(review *authenticationv1.TokenReview, object string) (fault string) {
	if object[0] != '{' && object[0] != 'n' { // null
		return "metadata is not an object"
	}
	for name, value := range strictjson.Members(object) {
		ok := true
		if name == "namespace" {
			review.Namespace, ok = strictjson.Text(value)
		}
		if !ok {
			return "metadata.namespace" + faultNotAString
		}
	}
	return ""
}

func parseReviewSpec(review *authenticationv1.TokenReview, object string) (fault string) {
	if object[0] != '{' {
		return "spec is not an object"
	}
	for name, value := range strictjson.Members(object) {
		switch name {
		case "token":
			var ok bool
			if review.Spec.Token, ok = strictjson.Text(value); !ok {
				return "spec.token" + faultNotAString
			}
		case "audiences":
			if value[0] == 'n' { // null, which is what some clients write for none
				continue
			}
			if value[0] != '[' {
				return "spec.audiences is not a list"
			}
			for element := range strictjson.Elements(value) {
				audience, ok := strictjson.Text(element)
				if !ok {
					return "spec.audiences has an element that" + faultNotAString
				}
				review.Spec.Audiences = append(review.Spec.Audiences, audience)
			}
		}
	}
	return ""
}
