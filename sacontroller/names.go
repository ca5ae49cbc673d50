package sacontroller

import (
	"crypto/sha256"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The form of a generated name (CST-19).
const (
	nameAlphabet   = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength   = 5
	maxGeneratedTo = 63 // the length that base and suffix may have together
)

// tokenSecretBase returns what the name of a generated token Secret of the
// account called accountName begins with.
func tokenSecretBase(accountName string) string {
	base := accountName + "-token-"
	return base[:min(len(base), maxGeneratedTo-suffixLength)]
}

// isGeneratedName reports whether name has the form of the name of a generated
// token Secret of the account called accountName.
func isGeneratedName(accountName, name string) bool {
	suffix, ok := strings.CutPrefix(name, tokenSecretBase(accountName))
	return ok && len(suffix) == suffixLength && strings.Trim(suffix, nameAlphabet) == ""
}

// generatedFor returns the name of the account that a Secret called name was
// generated for, going by the form of the name: "" if it hasn't that form, or if
// the account's name is too long to stand in it whole.
func generatedFor(name string) string {
	if len(name) <= suffixLength {
		return ""
	}
	account, whole := strings.CutSuffix(name[:len(name)-suffixLength], "-token-")
	if !whole || !isGeneratedName(account, name) {
		return ""
	}
	return account
}

// stableName returns the name for the token Secret that is generated for
// account as it stands: base and five characters that depend on the account's
// UID and resourceVersion and on attempt.
//
// A random name would make every attempt a new Secret: a create whose answer was
// lost, a crash before the reference is written and a second replica would each
// leave one behind, and no cache is fresh enough to find it. With this name they
// all meet the same Secret, as AlreadyExists. Once the reference is written the
// resourceVersion differs, so that the next Secret of the account has another
// name, and with it another token: a token that was revoked by deleting its
// Secret must not come back.
func stableName(account *corev1.ServiceAccount, base string, attempt int) string {
	sum := sha256.Sum256([]byte(string(account.UID) + "/" + account.ResourceVersion + "/" + strconv.Itoa(attempt)))
	suffix := make([]byte, suffixLength)
	for i := range suffix {
		suffix[i] = nameAlphabet[int(sum[i])%len(nameAlphabet)]
	}
	return base + string(suffix)
}
