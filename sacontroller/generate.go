package sacontroller

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// generateToken gives live, an account just read, a token Secret unless it lists
// one by now. It goes on with the Secret of an earlier attempt, if there is one.
func (c *Tokens) generateToken(ctx context.Context, live *corev1.ServiceAccount, cached []*corev1.Secret) error {
	listed, missing, err := c.listedToken(ctx, live)
	if err != nil {
		return err
	}
	secret, err := c.unlistedToken(ctx, live, cached)
	if err != nil {
		return err
	}
	if listed != "" {
		if c.pending.get(live.UID) == "" {
			return nil // CTL-81
		}
		return c.discard(ctx, live, secret)
	}
	if secret == nil {
		secret, err = c.createToken(ctx, live)
	}
	if err != nil || secret == nil {
		return err
	}
	return c.addReference(ctx, live, secret, missing)
}

// listedToken returns the name of a token Secret that account lists, by live
// reads, so that neither a cache that lacks a Secret just created (CTL-88) nor
// another replica leads to a second one. If there is none, missing are the
// generated names that account lists and no Secret has.
func (c *Tokens) listedToken(ctx context.Context, account *corev1.ServiceAccount) (name string, missing []string, err error) {
	for _, r := range account.Secrets {
		if r.Name == "" {
			continue
		}
		secret, err := c.liveSecret(ctx, account.Namespace, r.Name)
		switch {
		case err != nil:
			return "", nil, err
		case secret == nil && tokensecret.IsGeneratedName(account.Name, r.Name):
			missing = append(missing, r.Name)
		case tokensecret.BelongsTo(secret, account):
			return r.Name, nil, nil
		}
	}
	return "", missing, nil
}

// unlistedToken returns the Secret that an unfinished attempt created for account,
// read live, or nil: the one this process remembers, else one that the Reader has.
func (c *Tokens) unlistedToken(ctx context.Context, account *corev1.ServiceAccount, cached []*corev1.Secret) (*corev1.Secret, error) {
	name := c.pending.get(account.UID)
	if name == "" {
		s := leftover(account, cached)
		if s == nil {
			return nil, nil
		}
		name = s.Name
	}
	live, err := c.liveSecret(ctx, account.Namespace, name)
	if err != nil || live == nil || !isLeftover(account, live) {
		return nil, err
	}
	return live, nil
}

// maxNames bounds how many names an attempt tries. A name that is taken is an
// accident of one in fourteen million.
const maxNames = 4

// createToken creates the token Secret of account, or finds that it exists.
// It returns nil if the Namespace is being deleted (CTL-87).
func (c *Tokens) createToken(ctx context.Context, account *corev1.ServiceAccount) (*corev1.Secret, error) {
	base := tokensecret.NameBase(account.Name)
	rootCA := c.rootCA.get()
	for attempt := range maxNames {
		name := stableName(account, base, attempt)
		if c.generate != nil {
			name = c.generate(base)
		}
		token, err := c.issue(ctx, account, newTokenSecret(account, name, nil, ""))
		if err != nil {
			return nil, err // CTL-86
		}
		c.pending.set(account.UID, name)
		created, err := requireObject(c.client.CreateSecret(ctx, newTokenSecret(account, name, rootCA, token)))
		switch {
		case err == nil:
			return created, nil
		case saysTerminating(err):
			c.pending.forget(account.UID)
			return nil, nil
		case !apierrors.IsAlreadyExists(err):
			return nil, fmt.Errorf("sacontroller: creating a token Secret for ServiceAccount %s/%s: %w", account.Namespace, account.Name, err)
		}
		live, err := c.liveSecret(ctx, account.Namespace, name)
		if err != nil {
			return nil, err
		}
		if live != nil && isLeftover(account, live) {
			return live, nil
		}
	}
	return nil, fmt.Errorf("sacontroller: found no free name for a token Secret of ServiceAccount %s/%s", account.Namespace, account.Name)
}

// maxReferenceAttempts is how often a conflict on the account is met with another
// read and write before the key is left for later (CTL-89).
const maxReferenceAttempts = 5

// addReference lists secret in account and drops missing. If it turns out that the
// account must not have it, secret is deleted again (CTL-90). After any other
// failure secret stays: the write may have been stored, and the next attempt goes
// on with the same Secret.
func (c *Tokens) addReference(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret, missing []string) error {
	uid := account.UID
	for range maxReferenceAttempts {
		_, err := requireObject(c.client.UpdateServiceAccount(ctx, withReferences(account, missing, secret.Name)))
		switch {
		case err == nil:
			c.pending.forget(uid)
			return nil
		case apierrors.IsNotFound(err):
			return c.discard(ctx, account, secret) // CTL-91
		case !apierrors.IsConflict(err):
			return fmt.Errorf("sacontroller: listing a new token Secret in ServiceAccount %s/%s: %w", account.Namespace, account.Name, err)
		}
		live, err := c.liveAccount(ctx, account.Namespace, account.Name)
		switch {
		case err != nil:
			return err
		case live == nil || live.UID != uid || live.DeletionTimestamp != nil:
			return c.discard(ctx, account, secret)
		case tokensecret.Listed(live, secret.Name):
			c.pending.forget(uid) // an answer was lost, or another replica was faster
			return nil
		}
		var listed string
		if listed, missing, err = c.listedToken(ctx, live); err != nil {
			return err
		}
		if listed != "" {
			return c.discard(ctx, live, secret)
		}
		account = live
	}
	return fmt.Errorf("sacontroller: ServiceAccount %s/%s keeps changing while a token Secret is being listed in it", account.Namespace, account.Name)
}

// discard deletes secret, unless it is nil, and forgets that it was generated for
// account.
func (c *Tokens) discard(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) error {
	if secret != nil {
		if err := c.deleteSecret(ctx, secret); err != nil {
			return err
		}
	}
	c.pending.forget(account.UID)
	return nil
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

// leftover returns the generated Secret that an earlier attempt created for account
// and that the account doesn't list yet, or nil. Of several it is the first by
// name. A Secret that another writer created is not adopted (CTL-82): it lacks the
// form of the name or the account's UID.
func leftover(account *corev1.ServiceAccount, tokens []*corev1.Secret) *corev1.Secret {
	var first *corev1.Secret
	for _, s := range tokens {
		if isLeftover(account, s) && tokensecret.IsGeneratedName(account.Name, s.Name) && (first == nil || s.Name < first.Name) {
			first = s
		}
	}
	return first
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
