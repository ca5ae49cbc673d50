package sacontroller

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
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
	name, _ := tokensecret.Owner(secret)
	if name == "" || secret.DeletionTimestamp != nil {
		return false
	}
	return live == nil || !tokensecret.BelongsTo(secret, live)
}

// tokensOfUID returns the Secrets of secrets that were tokens of the account
// of key: annotated with its UID, or with none (CTL-22).
func tokensOfUID(secrets []*corev1.Secret, key Key) []*corev1.Secret {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name, account.UID = key.Namespace, key.Name, key.UID
	var found []*corev1.Secret
	for _, s := range secrets {
		if s.DeletionTimestamp == nil && tokensecret.BelongsTo(s, account) {
			found = append(found, s)
		}
	}
	return found
}

// withReferences returns a copy of account that no longer refers to the Secrets
// called as in drop, keeps the order of the others (CTL-65), and refers to the
// Secret called add, if that isn't empty, last (CTL-89).
func withReferences(account *corev1.ServiceAccount, drop []string, add string) *corev1.ServiceAccount {
	a := account.DeepCopy()
	a.Secrets = slices.DeleteFunc(a.Secrets, func(r corev1.ObjectReference) bool { return slices.Contains(drop, r.Name) })
	if add != "" && !tokensecret.Listed(a, add) {
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
		return tokensecret.BelongsTo(s, account) && tokensecret.Listed(account, s.Name) // CTL-81
	})}
	missing := map[string]bool{}
	for _, r := range account.Secrets {
		if !exists[r.Name] && tokensecret.IsGeneratedName(account.Name, r.Name) {
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
		if isLeftover(account, s) && tokensecret.IsGeneratedName(account.Name, s.Name) && (found == nil || s.Name < found.Name) {
			found = s
		}
	}
	return found
}

// isLeftover reports whether s, by another sign known to be a generated Secret,
// is one of this very account, and unlisted.
func isLeftover(account *corev1.ServiceAccount, s *corev1.Secret) bool {
	_, uid := tokensecret.Owner(s)
	return tokensecret.BelongsTo(s, account) && uid == account.UID && s.DeletionTimestamp == nil && !tokensecret.Listed(account, s.Name)
}

// stableName returns the name for the token Secret that is generated for this
// version of account. attempt counts the names that were taken.
//
// A random name would make every attempt a new Secret: a create whose answer was
// lost, a crash before the reference is written and a second replica would each
// leave one orphaned, and no cache is fresh enough to find it. With this name they
// all get AlreadyExists for the same Secret. Once the reference is written the
// resourceVersion differs, so that the next Secret of the account has another
// name, and with it another token: a token that was revoked by deleting its
// Secret must not come back.
func stableName(account *corev1.ServiceAccount, base string, attempt int) string {
	sum := sha256.Sum256([]byte(string(account.UID) + "/" + account.ResourceVersion + "/" + strconv.Itoa(attempt)))
	return tokensecret.GeneratedName(base, binary.BigEndian.Uint64(sum[:]))
}
