package tokensecret

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

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

// StableName returns the name for the token Secret that is generated for this
// version of account. attempt counts the names that were taken.
//
// A random name would make every attempt a new Secret: a create whose answer was
// lost, a crash before the reference is written and a second replica would each
// leave one orphaned, and no cache is fresh enough to find it. With this name they
// all get AlreadyExists for the same Secret. Once the reference is written the
// resourceVersion differs, so that the next Secret of the account has another
// name, and with it another token: a token that was revoked by deleting its
// Secret must not come back.
func StableName(account *corev1.ServiceAccount, base string, attempt int) string {
	sum := sha256.Sum256([]byte(string(account.UID) + "/" + account.ResourceVersion + "/" + strconv.Itoa(attempt)))
	return GeneratedName(base, binary.BigEndian.Uint64(sum[:]))
}
