package sacontroller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// generateToken gives live, an account just read, a token Secret unless it lists
// one by now. It goes on with what an earlier attempt left, if there is that.
func (c *Tokens) generateToken(ctx context.Context, live *corev1.ServiceAccount, cached []*corev1.Secret) error {
	held, gone, err := c.heldToken(ctx, live)
	if err != nil {
		return err
	}
	secret, err := c.started(ctx, live, cached)
	if err != nil {
		return err
	}
	if held != "" {
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
	return c.addReference(ctx, live, secret, gone)
}

// heldToken returns the name of a token Secret that account lists, by live reads,
// so that neither a cache that lacks a Secret just created (CTL-88) nor another
// replica leads to a second one. gone are the generated names that it lists and
// no Secret has.
func (c *Tokens) heldToken(ctx context.Context, account *corev1.ServiceAccount) (held string, gone []string, err error) {
	for _, r := range account.Secrets {
		if r.Name == "" {
			continue
		}
		secret, err := c.liveSecret(ctx, account.Namespace, r.Name)
		switch {
		case err != nil:
			return "", nil, err
		case secret == nil && tokensecret.IsGeneratedName(account.Name, r.Name):
			gone = append(gone, r.Name)
		case secret != nil && tokensecret.BelongsTo(secret, account):
			return r.Name, nil, nil
		}
	}
	return "", gone, nil
}

// started returns the unlisted Secret that an attempt that didn't finish made for
// account, or nil: the one this process remembers, else one that the Reader has.
func (c *Tokens) started(ctx context.Context, account *corev1.ServiceAccount, cached []*corev1.Secret) (*corev1.Secret, error) {
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

// createToken creates the token Secret of account, or finds that it is there.
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
		created, err := c.client.CreateSecret(ctx, newTokenSecret(account, name, rootCA, token))
		switch {
		case err == nil:
			return created, nil
		case saysTerminating(err):
			c.pending.forget(account.UID)
			return nil, nil
		case !apierrors.IsAlreadyExists(err):
			return nil, fmt.Errorf("sacontroller: creating a token Secret for ServiceAccount %s/%s: %w", account.Namespace, account.Name, err)
		}
		there, err := c.liveSecret(ctx, account.Namespace, name)
		if err != nil {
			return nil, err
		}
		if there != nil && isLeftover(account, there) {
			return there, nil
		}
	}
	return nil, fmt.Errorf("sacontroller: found no free name for a token Secret of ServiceAccount %s/%s", account.Namespace, account.Name)
}

// maxReferenceAttempts is how often a conflict on the account is met with another
// read and write before the key is left for later (CTL-89).
const maxReferenceAttempts = 5

// addReference lists secret in account and drops gone. If it turns out that the
// account must not have it, secret is deleted again (CTL-90). After any other
// failure secret stays: the write may have been stored, and the next attempt goes
// on with the same Secret.
func (c *Tokens) addReference(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret, gone []string) error {
	uid := account.UID
	for range maxReferenceAttempts {
		_, err := c.client.UpdateServiceAccount(ctx, withReferences(account, gone, secret.Name))
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
		var held string
		if held, gone, err = c.heldToken(ctx, live); err != nil {
			return err
		}
		if held != "" {
			return c.discard(ctx, live, secret)
		}
		account = live
	}
	return fmt.Errorf("sacontroller: ServiceAccount %s/%s keeps changing while a token Secret is listed in it", account.Namespace, account.Name)
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
