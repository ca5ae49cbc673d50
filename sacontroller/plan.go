package sacontroller

import (
	"bytes"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The functions of this file decide for Tokens. They read only their arguments,
// change none of them, and do no I/O.

// A fill says what a token Secret lacks (CTL-43).
type fill struct {
	CA, Namespace, Token bool
}

// planFill returns what secret lacks to be a complete token Secret of account.
// An empty rootCA asks for nothing (CTL-50), and neither does a Secret or an
// account that is being deleted (CTL-54, CTL-55 as we differ).
func planFill(secret *corev1.Secret, account *corev1.ServiceAccount, rootCA []byte) fill {
	if secret.DeletionTimestamp != nil || account.DeletionTimestamp != nil {
		return fill{}
	}
	return fill{
		CA:        len(rootCA) > 0 && !bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], rootCA),
		Namespace: len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0,
		Token:     len(secret.Data[corev1.ServiceAccountTokenKey]) == 0,
	}
}

// filled returns a copy of secret with what f asks for, and with the annotations
// that tie it to account (CTL-49). Everything else stays as it is.
func filled(secret *corev1.Secret, account *corev1.ServiceAccount, f fill, rootCA []byte, token string) *corev1.Secret {
	s := secret.DeepCopy()
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	if f.CA {
		s.Data[corev1.ServiceAccountRootCAKey] = slices.Clone(rootCA)
	}
	if f.Namespace {
		s.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
	}
	if f.Token {
		s.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[corev1.ServiceAccountNameKey] = account.Name
	s.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	return s
}

// newTokenSecret returns the complete token Secret called name that is generated
// for account (CTL-85).
func newTokenSecret(account *corev1.ServiceAccount, name string, rootCA []byte, token string) *corev1.Secret {
	empty := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: account.Namespace},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	return filled(empty, account, fill{CA: len(rootCA) > 0, Namespace: true, Token: true}, rootCA, token)
}

// isOrphan reports whether the token Secret secret, read live, has no account:
// live is the account of the name that it is annotated with, read live, or nil if
// there is none. A Secret that is being deleted is left alone.
func isOrphan(secret *corev1.Secret, live *corev1.ServiceAccount) bool {
	name, _ := ownerOf(secret)
	if secret.Type != corev1.SecretTypeServiceAccountToken || name == "" || secret.DeletionTimestamp != nil {
		return false
	}
	return live == nil || !belongsTo(secret, live)
}

// tokensOfUID returns the Secrets of secrets that were tokens of the account
// of key: annotated with its UID, or with none (CTL-22).
func tokensOfUID(secrets []*corev1.Secret, key Key) []*corev1.Secret {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name, account.UID = key.Namespace, key.Name, key.UID
	var found []*corev1.Secret
	for _, s := range secrets {
		if s.DeletionTimestamp == nil && belongsTo(s, account) {
			found = append(found, s)
		}
	}
	return found
}

// lists reports whether account refers to a Secret called name.
func lists(account *corev1.ServiceAccount, name string) bool {
	return slices.ContainsFunc(account.Secrets, func(r corev1.ObjectReference) bool { return r.Name == name })
}

// withReferences returns a copy of account that no longer refers to the Secrets
// called as in drop, keeps the order of the others (CTL-65), and refers to the
// Secret called add, if that isn't empty, last (CTL-89).
func withReferences(account *corev1.ServiceAccount, drop []string, add string) *corev1.ServiceAccount {
	a := account.DeepCopy()
	a.Secrets = slices.DeleteFunc(a.Secrets, func(r corev1.ObjectReference) bool { return slices.Contains(drop, r.Name) })
	if add != "" && !lists(a, add) {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: add})
	}
	return a
}

// An accountPlan says what an account seems to need.
type accountPlan struct {
	Generate bool     // no token Secret is listed
	Missing  []string // listed names of generated form that no Secret has
}

// planAccount judges account by the names of the Secrets it lists. tokens are the
// token Secrets annotated with its name, and exists tells whether there is a
// Secret of a name at all.
func planAccount(account *corev1.ServiceAccount, tokens []*corev1.Secret, exists map[string]bool, autoGenerate bool) accountPlan {
	if account.DeletionTimestamp != nil {
		return accountPlan{} // CTL-55 as we differ
	}
	p := accountPlan{Generate: autoGenerate && !slices.ContainsFunc(tokens, func(s *corev1.Secret) bool {
		return belongsTo(s, account) && lists(account, s.Name) // CTL-81
	})}
	missing := map[string]bool{}
	for _, r := range account.Secrets {
		if !exists[r.Name] && isGeneratedName(account.Name, r.Name) {
			missing[r.Name] = true
		}
	}
	p.Missing = slices.Sorted(maps.Keys(missing))
	return p
}

// leftover returns the generated Secret that an earlier attempt made for account
// and that the account doesn't list yet, or nil. Of several it is the first by
// name. A Secret that somebody else made is not adopted (CTL-82): it lacks the
// form of the name or the account's UID.
func leftover(account *corev1.ServiceAccount, tokens []*corev1.Secret) *corev1.Secret {
	var found *corev1.Secret
	for _, s := range tokens {
		if isLeftover(account, s) && isGeneratedName(account.Name, s.Name) && (found == nil || s.Name < found.Name) {
			found = s
		}
	}
	return found
}

// isLeftover reports whether s, by another sign known to be a generated Secret,
// is one of this very account, and unlisted.
func isLeftover(account *corev1.ServiceAccount, s *corev1.Secret) bool {
	_, uid := ownerOf(s)
	return belongsTo(s, account) && uid == account.UID && s.DeletionTimestamp == nil && !lists(account, s.Name)
}
