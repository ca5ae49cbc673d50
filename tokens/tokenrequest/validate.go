package tokenrequest

import (
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// anyAPIGroup attests to admission reviews of every API group.
const anyAPIGroup = "*"

// validateTokenRequest validates a request by itself, after defaults (REQ-20..28).
func validateTokenRequest(tr *authenticationv1.TokenRequest) field.ErrorList {
	spec := field.NewPath("spec")
	webhook := isWebhookRef(tr.Spec.BoundObjectRef)
	if len(tr.Spec.Attestations) > 0 && !webhook {
		return field.ErrorList{field.Invalid(spec.Child("attestations"), tr.Spec.Attestations,
			"attestations may only be specified with a webhook bound object reference")}
	}
	var errs field.ErrorList
	seconds := *tr.Spec.ExpirationSeconds
	if seconds < int64(tokenissuer.MinLifetime/time.Second) {
		errs = append(errs, field.Invalid(spec.Child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > int64(tokenissuer.MaxLifetime/time.Second) {
		errs = append(errs, field.Invalid(spec.Child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if webhook {
		if len(tr.Spec.Audiences) != 1 {
			errs = append(errs, field.Invalid(spec.Child("audiences"), tr.Spec.Audiences, "must be length 1 when bound to a webhook config"))
		}
		errs = append(errs, validateAttestations(tr.Spec.Attestations, spec.Child("attestations"))...)
	}
	return errs
}

// isWebhookRef reports whether ref is a webhook configuration, whose version,
// unlike that of others, counts (REQ-22).
func isWebhookRef(ref *authenticationv1.BoundObjectReference) bool {
	return ref != nil && ref.APIVersion == admissionregistrationv1.SchemeGroupVersion.String() &&
		(ref.Kind == objects.ValidatingWebhook || ref.Kind == objects.MutatingWebhook)
}

func validateAttestations(attestations map[string]authenticationv1.AttestationValue, path *field.Path) field.ErrorList {
	if len(attestations) != 1 {
		return field.ErrorList{field.Invalid(path, attestations, "webhook bound requests require exactly one admissionReviewAPIGroups attestation")}
	}
	for key, values := range attestations {
		path := path.Key(key)
		if key != tokens.AttestedAPIGroups {
			return field.ErrorList{field.NotSupported(path, key, []string{tokens.AttestedAPIGroups})}
		}
		if len(values) != 1 {
			return field.ErrorList{field.Invalid(path, values, "must specify a single value")}
		}
		switch group := values[0]; {
		case group == anyAPIGroup:
		case group == "":
			return field.ErrorList{field.Invalid(path.Index(0), group, "may not be an empty string")}
		default:
			if faults := validation.IsDNS1123Subdomain(group); len(faults) > 0 {
				return field.ErrorList{field.Invalid(path.Index(0), group, "must specify a valid API Group: "+strings.Join(faults, ","))}
			}
		}
	}
	return nil
}
