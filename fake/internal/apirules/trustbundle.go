package apirules

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxTrustBundle = 1 << 20

// omitted is what errors say of a bundle's value.
const omitted = "<value omitted>"

// validateSigner validates the signer's name and that of the bundle, which begins with
// it (CTB-22).
func validateSigner(b *certificatesv1.ClusterTrustBundle) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range bundleNameProblems(b.Name, b.Spec.SignerName) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), b.Name, problem))
	}
	if b.Spec.SignerName == "" {
		return errs
	}
	return append(errs, validateSignerName(field.NewPath("spec", "signerName"), b.Spec.SignerName)...)
}

// bundleNameProblems says what is wrong with the name of a bundle of signer, or of none.
func bundleNameProblems(name, signer string) []string {
	if signer == "" {
		if strings.Contains(name, ":") {
			return []string{`ClusterTrustBundle without signer name must not have ":" in its name`}
		}
		return validation.IsDNS1123Subdomain(name)
	}
	prefix := strings.ReplaceAll(signer, "/", ":") + ":"
	rest, found := strings.CutPrefix(name, prefix)
	if !found {
		return []string{fmt.Sprintf("ClusterTrustBundle for signerName %s must be named with prefix %s", signer, prefix)}
	}
	return validation.IsDNS1123Subdomain(rest)
}

// maxSignerName is the length of a domain, a slash, and two names with a dot between
// them: "<domain>/<namespace>.<name>".
const maxSignerName = validation.DNS1123SubdomainMaxLength + 1 + validation.DNS1123LabelMaxLength + 1 + validation.DNS1123SubdomainMaxLength

// validateSignerName validates "<domain>/<path>".
func validateSignerName(path *field.Path, signer string) field.ErrorList {
	if signer == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	domain, rest, found := strings.Cut(signer, "/")
	if !found || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(path, signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var errs field.ErrorList
	if len(domain) > validation.DNS1123SubdomainMaxLength {
		errs = append(errs, field.TooLong(path, "", validation.DNS1123SubdomainMaxLength))
	}
	errs = append(errs, validateParts(path, domain, validation.IsDNS1123Label)...)
	if !strings.Contains(domain, ".") {
		errs = append(errs, field.Invalid(path, domain, "should be a domain with at least two segments separated by dots"))
	}
	errs = append(errs, validateParts(path, rest, validation.IsDNS1123Subdomain)...)
	if len(signer) > maxSignerName {
		errs = append(errs, field.TooLong(path, "", maxSignerName))
	}
	return errs
}

// validateParts validates what is between the dots of name, up to the first that is
// invalid.
func validateParts(path *field.Path, name string, check func(string) []string) field.ErrorList {
	for part := range strings.SplitSeq(name, ".") {
		if problems := check(part); len(problems) > 0 {
			var errs field.ErrorList
			for _, problem := range problems {
				errs = append(errs, field.Invalid(path, name, fmt.Sprintf("validating label %q: %s", part, problem)))
			}
			return errs
		}
	}
	return nil
}

// validateTrustBundle validates the certificates (CTB-23).
func validateTrustBundle(text string) field.ErrorList {
	path := field.NewPath("spec", "trustBundle")
	if len(text) > maxTrustBundle {
		return field.ErrorList{field.TooLong(path, "", maxTrustBundle)}
	}
	var errs field.ErrorList
	places := map[string][]int{} // of each certificate
	block, rest := pem.Decode([]byte(text))
	for i := 0; block != nil; i++ {
		if problem := anchorProblem(block); problem != "" {
			errs = append(errs, field.Invalid(path, omitted, fmt.Sprintf("entry %d %s", i, problem)))
		} else {
			places[string(block.Bytes)] = append(places[string(block.Bytes)], i)
		}
		block, rest = pem.Decode(rest)
	}
	switch {
	case len(errs) > 0:
		return errs
	case len(places) == 0:
		return field.ErrorList{field.Invalid(path, omitted, "at least one trust anchor must be provided")}
	}
	for _, indices := range slices.SortedFunc(maps.Values(places), slices.Compare) {
		if len(indices) > 1 {
			errs = append(errs, field.Invalid(path, omitted, fmt.Sprintf("duplicate trust anchor (indices %v)", indices)))
		}
	}
	return errs
}

// validateBundleSource validates a trust bundle of a projected volume: one by name, or
// those of a signer.
func validateBundleSource(source *corev1.ClusterTrustBundleProjection, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case source.Name != nil && source.SignerName != nil:
		errs = append(errs, field.Invalid(at, source, "only one of name and signerName may be used"))
	case source.Name != nil:
		name := *source.Name
		if name == "" {
			errs = append(errs, field.Required(at.Child("name"), "must be a valid object name"))
		}
		signer := "" // the name of one with a signer is "<domain>:<path>:<rest>"
		if last := strings.LastIndex(name, ":"); last >= 0 {
			signer = strings.ReplaceAll(name[:last], ":", "/")
		}
		for _, problem := range bundleNameProblems(name, signer) {
			errs = append(errs, field.Invalid(at.Child("name"), name, "not a valid clustertrustbundlename: "+problem))
		}
		if source.LabelSelector != nil {
			errs = append(errs, field.Invalid(at.Child("labelSelector"), source.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	case source.SignerName != nil:
		if *source.SignerName == "" {
			errs = append(errs, field.Required(at.Child("signerName"), "must be a valid signer name"))
		}
		errs = append(errs, validateSignerName(at.Child("signerName"), *source.SignerName)...)
		errs = append(errs, metav1validation.ValidateLabelSelector(source.LabelSelector, metav1validation.LabelSelectorValidationOptions{}, at.Child("labelSelector"))...)
	default:
		errs = append(errs, field.Required(at, "either name or signerName must be specified"))
	}
	errs = append(errs, required(source.Path, at.Child("path"))...)
	return append(errs, validateOwnPath(source.Path, at.Child("path"))...)
}

// anchorProblem says what keeps block from being a trust anchor, empty if nothing does.
func anchorProblem(block *pem.Block) string {
	if block.Type != "CERTIFICATE" {
		return "has bad block type: " + block.Type
	}
	if len(block.Headers) > 0 {
		return "has PEM block headers"
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "does not parse as X.509"
	case !certificate.IsCA:
		return "does not have the CA bit set"
	case !certificate.BasicConstraintsValid:
		return "has invalid basic constraints"
	}
	return ""
}

// validateTrustBundleUpdate validates the certificates only if they change (CTB-25).
func validateTrustBundleUpdate(b, before *certificatesv1.ClusterTrustBundle) field.ErrorList {
	var errs field.ErrorList
	if b.Spec.TrustBundle != before.Spec.TrustBundle {
		errs = validateTrustBundle(b.Spec.TrustBundle)
	}
	if b.Spec.SignerName != before.Spec.SignerName {
		errs = append(errs, field.Invalid(field.NewPath("spec", "signerName"), b.Spec.SignerName, immutableField))
	}
	return errs
}
