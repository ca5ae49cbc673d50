package sacontroller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reconcileAccount deletes the tokens of an account that is gone, and looks after
// the references of one that is there.
func (c *Tokens) reconcileAccount(ctx context.Context, key Key) error {
	account, err := found(c.reader.GetServiceAccount(ctx, key.Namespace, key.Name))
	if err != nil {
		return err // CTL-28
	}
	secrets, err := c.reader.TokenSecrets(ctx, key.Namespace, key.Name)
	if err != nil {
		return fmt.Errorf("sacontroller: listing the token Secrets of ServiceAccount %s/%s: %w", key.Namespace, key.Name, err)
	}
	if account == nil || account.UID != key.UID {
		return c.accountGone(ctx, key, tokensOfUID(secrets, key)) // CTL-21
	}
	return c.accountPresent(ctx, account, secrets)
}

// accountGone deletes the tokens of an account that the Reader no longer has,
// each after the account and the Secret were read live: the Reader may be behind,
// or the account may have been created again (CTL-21, CTL-23 as we differ).
func (c *Tokens) accountGone(ctx context.Context, key Key, secrets []*corev1.Secret) error {
	if len(secrets) == 0 {
		return nil
	}
	if frozen, err := c.frozen(ctx, key.Namespace); frozen || err != nil {
		return err
	}
	live, err := c.liveAccount(ctx, key.Namespace, key.Name)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range secrets {
		errs = append(errs, c.deleteIfOrphan(ctx, s, live)) // CTL-26
	}
	return errors.Join(errs...)
}

// accountPresent judges by the Reader whether account needs anything, and looks
// live before it acts.
func (c *Tokens) accountPresent(ctx context.Context, account *corev1.ServiceAccount, tokens []*corev1.Secret) error {
	exists, err := c.existing(ctx, account)
	if err != nil {
		return err
	}
	plan := planAccount(account, tokens, exists, c.auto)
	if !plan.Generate && len(plan.Missing) == 0 {
		return nil // CTL-10, CTL-20
	}
	live, err := c.liveAccount(ctx, account.Namespace, account.Name)
	switch {
	case err != nil:
		return err
	case live == nil:
		return fmt.Errorf("sacontroller: the reader still has ServiceAccount %s/%s, which is gone", account.Namespace, account.Name) // CTL-83
	case !plan.Generate:
		if live.UID != account.UID {
			return nil
		}
		return c.dereference(ctx, live, plan.Missing)
	case live.UID != account.UID || live.ResourceVersion != account.ResourceVersion:
		return fmt.Errorf("sacontroller: the reader has another version of ServiceAccount %s/%s than the API", account.Namespace, account.Name) // CTL-84
	}
	if frozen, err := c.frozen(ctx, account.Namespace); frozen || err != nil || live.DeletionTimestamp != nil {
		return err
	}
	return c.generateToken(ctx, live, tokens)
}

// existing returns which of the Secrets that account lists under a generated name
// the Reader has. The others don't matter to planAccount.
func (c *Tokens) existing(ctx context.Context, account *corev1.ServiceAccount) (map[string]bool, error) {
	exists := map[string]bool{}
	for _, r := range account.Secrets {
		if !isGeneratedName(account.Name, r.Name) {
			continue
		}
		secret, err := found(c.reader.GetSecret(ctx, account.Namespace, r.Name))
		if err != nil {
			return nil, err
		}
		exists[r.Name] = secret != nil
	}
	return exists, nil
}

// generateToken gives live, an account just read, a token Secret unless it lists
// one by now.
func (c *Tokens) generateToken(ctx context.Context, live *corev1.ServiceAccount, cached []*corev1.Secret) error {
	held, gone, err := c.heldToken(ctx, live)
	if err != nil || held != "" {
		return err
	}
	secret, err := c.adopt(ctx, live, cached)
	if err == nil && secret == nil {
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
		case secret == nil && isGeneratedName(account.Name, r.Name):
			gone = append(gone, r.Name)
		case secret != nil && belongsTo(secret, account):
			return r.Name, nil, nil
		}
	}
	return "", gone, nil
}

// adopt returns the Secret that an interrupted attempt left behind, or nil.
func (c *Tokens) adopt(ctx context.Context, account *corev1.ServiceAccount, cached []*corev1.Secret) (*corev1.Secret, error) {
	s := leftover(account, cached)
	if s == nil {
		return nil, nil
	}
	live, err := c.liveSecret(ctx, s.Namespace, s.Name)
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
	base := tokenSecretBase(account.Name)
	for attempt := range maxNames {
		name := stableName(account, base, attempt)
		if c.generate != nil {
			name = c.generate(base)
		}
		token, err := c.issue(ctx, account, newTokenSecret(account, name, nil, ""))
		if err != nil {
			return nil, err // CTL-86
		}
		created, err := c.client.CreateSecret(ctx, newTokenSecret(account, name, c.rootCA, token))
		switch {
		case err == nil:
			return created, nil
		case ignoreTerminating(err):
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
// failure secret stays: the write may have been stored, and the next attempt
// meets the same Secret, by its name or among the leftovers.
func (c *Tokens) addReference(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret, gone []string) error {
	uid := account.UID
	for range maxReferenceAttempts {
		_, err := c.client.UpdateServiceAccount(ctx, withReferences(account, gone, secret.Name))
		switch {
		case err == nil:
			return nil
		case apierrors.IsNotFound(err):
			return c.deleteSecret(ctx, secret) // CTL-91
		case !apierrors.IsConflict(err):
			return fmt.Errorf("sacontroller: listing a new token Secret in ServiceAccount %s/%s: %w", account.Namespace, account.Name, err)
		}
		live, err := c.liveAccount(ctx, account.Namespace, account.Name)
		switch {
		case err != nil:
			return err
		case live == nil || live.UID != uid || live.DeletionTimestamp != nil:
			return c.deleteSecret(ctx, secret)
		case lists(live, secret.Name):
			return nil // an answer was lost, or another replica was faster
		}
		var held string
		if held, gone, err = c.heldToken(ctx, live); err != nil {
			return err
		}
		if held != "" {
			return c.deleteSecret(ctx, secret)
		}
		account = live
	}
	return fmt.Errorf("sacontroller: ServiceAccount %s/%s keeps changing while a token Secret is listed in it", account.Namespace, account.Name)
}
