package tokensecret

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Is reports whether secret is a token Secret, by its type alone. A nil Secret
// is none.
func Is(secret *corev1.Secret) bool {
	return secret != nil && secret.Type == corev1.SecretTypeServiceAccountToken
}

// Owner returns the account that a token Secret names in its annotations. Both
// results are empty if secret is no token Secret, uid alone if nobody has set it
// yet (CST-7, CST-8).
func Owner(secret *corev1.Secret) (name string, uid types.UID) {
	if !Is(secret) {
		return "", ""
	}
	return secret.Annotations[corev1.ServiceAccountNameKey], types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
}

// BelongsTo reports whether secret is a token Secret of account: of its
// namespace, annotated with its name, and with its UID or none (TOK-85). Whether
// it holds a token doesn't matter.
func BelongsTo(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	if !Is(secret) || account == nil || secret.Namespace != account.Namespace {
		return false
	}
	name, uid := Owner(secret)
	return name == account.Name && (uid == "" || uid == account.UID)
}

// Listed reports whether account lists a Secret called name, as it lists the
// Secrets that were generated for it.
func Listed(account *corev1.ServiceAccount, name string) bool {
	if account == nil {
		return false
	}
	for i := range account.Secrets {
		if account.Secrets[i].Name == name {
			return true
		}
	}
	return false
}

// Orphaned reports whether the token Secret secret, read live, has no account:
// live is the account of the name that it is annotated with, read live, or nil if
// there is none. A Secret that is being deleted is left alone.
func Orphaned(secret *corev1.Secret, live *corev1.ServiceAccount) bool {
	name, _ := Owner(secret)
	return name != "" && secret.DeletionTimestamp == nil && !BelongsTo(secret, live)
}

// Leftover returns the generated Secret that an earlier attempt created for account
// and that the account doesn't list yet, or nil. Of several it is the first by
// name. A Secret that another writer created is not adopted (CTL-82): it lacks the
// form of the name or the account's UID.
func Leftover(account *corev1.ServiceAccount, tokens []*corev1.Secret) *corev1.Secret {
	listed := make(map[string]bool, len(account.Secrets))
	for _, r := range account.Secrets {
		listed[r.Name] = true
	}
	var first *corev1.Secret
	for _, s := range tokens {
		if !listed[s.Name] && isGeneratedFor(account, s) && IsGeneratedName(account.Name, s.Name) && (first == nil || s.Name < first.Name) {
			first = s
		}
	}
	return first
}

// IsLeftover reports whether s, by another sign known to be a generated Secret,
// is one of this very account, and unlisted.
func IsLeftover(account *corev1.ServiceAccount, s *corev1.Secret) bool {
	return isGeneratedFor(account, s) && !Listed(account, s.Name)
}

func isGeneratedFor(account *corev1.ServiceAccount, s *corev1.Secret) bool {
	_, uid := Owner(s)
	return BelongsTo(s, account) && uid == account.UID && s.DeletionTimestamp == nil
}

// WithReferences returns a copy of account that no longer lists the Secrets called
// as in drop, keeps the order of the others (CTL-65), and lists the Secret called
// add, unless that is empty, last (CTL-89).
func WithReferences(account *corev1.ServiceAccount, drop []string, add string) *corev1.ServiceAccount {
	dropped := make(map[string]bool, len(drop))
	for _, name := range drop {
		dropped[name] = true
	}
	a := account.DeepCopy()
	a.Secrets = slices.DeleteFunc(a.Secrets, func(r corev1.ObjectReference) bool { return dropped[r.Name] })
	if add != "" && !Listed(a, add) {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: add})
	}
	return a
}
