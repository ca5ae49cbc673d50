package tokensecret

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// IsName reports whether an object of the API can be called name: a ServiceAccount,
// a Secret, a Namespace. What an annotation or a list of references says can be any
// text, which must not reach a client: part of the path of a request, it could lead
// anywhere.
func IsName(name string) bool {
	return len(name) <= validation.DNS1123SubdomainMaxLength && len(validation.IsDNS1123Subdomain(name)) == 0
}

// IsSegment reports whether an API server can be asked for an object called name,
// which may be no valid one: then the answer is that it doesn't exist.
func IsSegment(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/%")
}

// The API server's generated names: no vowels, no look-alikes (CST-19).
const (
	nameAlphabet  = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength  = 5
	maxNameLength = 63
)

// GeneratedName returns base, cut to 58 bytes, and five characters that depend
// on x: the same for the same x, all of them different for 27⁵ successive ones.
func GeneratedName(base string, x uint64) string {
	var buf [maxNameLength]byte
	n := copy(buf[:maxNameLength-suffixLength], base)
	for range suffixLength {
		buf[n] = nameAlphabet[x%uint64(len(nameAlphabet))]
		x /= uint64(len(nameAlphabet))
		n++
	}
	return string(buf[:n])
}

// NameBase returns what the names of generated token Secrets of the account
// begin with: "<account>-token-", cut to 58 bytes.
func NameBase(account string) string {
	base := account + "-token-"
	return base[:min(len(base), maxNameLength-suffixLength)]
}

// IsGeneratedName reports whether name looks like that of a token Secret that was
// generated for the account: [NameBase] and five characters.
func IsGeneratedName(account, name string) bool {
	suffix, ok := strings.CutPrefix(name, NameBase(account))
	return ok && len(suffix) == suffixLength && strings.Trim(suffix, nameAlphabet) == ""
}

// GeneratedFor returns the account that a Secret called name was generated for,
// by its name alone. It is empty if the name doesn't look generated, and if the
// account's name may have been cut.
func GeneratedFor(name string) string {
	if len(name) <= suffixLength {
		return ""
	}
	account, whole := strings.CutSuffix(name[:len(name)-suffixLength], "-token-")
	if !whole || !IsGeneratedName(account, name) {
		return ""
	}
	return account
}
