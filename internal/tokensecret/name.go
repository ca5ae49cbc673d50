package tokensecret

import "strings"

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
