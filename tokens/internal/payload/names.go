package payload

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// LegacyIssuer is the "iss" of every Secret-based token (CST-17).
const LegacyIssuer = "kubernetes/serviceaccount"

// CheckIssuer checks the name of an issuer of bound tokens (KEY-52, KEY-53).
func CheckIssuer(issuer string) error {
	switch {
	case issuer == "":
		return errors.New("is empty, want the issuer of bound tokens")
	case issuer == LegacyIssuer:
		return fmt.Errorf("is %q, the issuer of Secret-based tokens, want another", issuer)
	case !utf8.ValidString(issuer):
		return errors.New("is not valid UTF-8")
	}
	if strings.Contains(issuer, ":") {
		if _, err := url.Parse(issuer); err != nil {
			return fmt.Errorf("is %q, which has a colon but is not a valid URL", issuer)
		}
	}
	return nil
}

// CheckExtraKey checks a key of the extra of user infos that isn't Kubernetes' own: the
// keys of its domains have meanings.
func CheckExtraKey(key string) error {
	domain, _, found := strings.Cut(key, "/")
	switch {
	case key != strings.ToLower(key) || !found || len(validation.IsQualifiedName(key)) > 0:
		return fmt.Errorf("is %q, want a key in lower case with a domain, such as example.org/team", key)
	case strings.HasSuffix("."+domain, ".kubernetes.io"), strings.HasSuffix("."+domain, ".k8s.io"):
		return fmt.Errorf("is %q, want a key of another domain than Kubernetes'", key)
	}
	return nil
}

// reservedClaims are the top-level claims that have a meaning.
var reservedClaims = []string{
	ClaimIssuer, ClaimSubject, ClaimAudience, ClaimExpiry, ClaimNotBefore, ClaimIssuedAt, ClaimID,
	ClaimPrivate, LegacyNamespace, LegacySecretName, LegacyAccountName, LegacyAccountUID,
}

// IsReserved reports whether claim, in any case, is a top-level claim that has a meaning.
func IsReserved(claim string) bool {
	return slices.ContainsFunc(reservedClaims, func(r string) bool { return strings.EqualFold(r, claim) })
}

// privateClaims are the members of ClaimPrivate that have a meaning, and the last parts
// of the claims of Secret-based tokens.
var privateClaims = []string{
	ClaimNamespace, ClaimAccount, ClaimPod, ClaimSecret, ClaimNode, ClaimValidating, ClaimMutating, ClaimAttestation, ClaimWarnAfter, ClaimObject,
	LegacySecretName[len(legacyPrefix):], LegacyAccountName[len(legacyPrefix):], LegacyAccountUID[len(legacyPrefix):],
}

// IsPrivate reports whether name, in any case, is a member of ClaimPrivate that has a
// meaning, or its equivalent in Secret-based tokens.
func IsPrivate(name string) bool {
	return slices.ContainsFunc(privateClaims, func(own string) bool { return strings.EqualFold(own, name) })
}

// refMembers are the names in the objects of private claims.
var refMembers = []string{"apiVersion", "kind", "name", "uid"}

// IsCluster reports whether name can be that of the claim that names the cluster: tokens
// with a name that differs from one with a meaning only in case are malformed.
func IsCluster(name string) bool {
	return utf8.ValidString(name) && !IsPrivate(name) && strictjson.Imitated(name, reservedClaims) == "" && strictjson.Imitated(name, refMembers) == ""
}
