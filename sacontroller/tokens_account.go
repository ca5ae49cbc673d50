package sacontroller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
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
	if len(secrets) > 0 {
		live, err := c.liveAccount(ctx, key.Namespace, key.Name)
		if err != nil {
			return err
		}
		if live != nil && live.UID == key.UID {
			return nil // the Reader will know soon, and that makes an event
		}
		var errs []error
		for _, s := range secrets {
			errs = append(errs, c.deleteIfOrphan(ctx, s, live)) // CTL-26
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	c.pending.forget(key.UID)
	return nil
}

// accountPresent judges by the Reader whether account needs anything, and looks
// live before it acts.
func (c *Tokens) accountPresent(ctx context.Context, account *corev1.ServiceAccount, tokens []*corev1.Secret) error {
	exists, err := c.existing(ctx, account)
	if err != nil {
		return err
	}
	plan := planAccount(account, tokens, exists, c.auto)
	unfinished := c.pending.get(account.UID) != ""
	if !plan.Generate && !unfinished && len(plan.Missing) == 0 {
		return nil // CTL-10, CTL-20
	}
	live, err := c.liveAccount(ctx, account.Namespace, account.Name)
	if err != nil {
		return err
	}
	same := live != nil && live.UID == account.UID
	switch {
	case !plan.Generate && !unfinished:
		if !same {
			return nil
		}
		return c.dereference(ctx, live, plan.Missing)
	case !same || live.ResourceVersion != account.ResourceVersion:
		return fmt.Errorf("sacontroller: the reader has another version of ServiceAccount %s/%s than the API", account.Namespace, account.Name) // CTL-83, CTL-84
	case live.DeletionTimestamp != nil:
		return nil
	}
	return c.generateToken(ctx, live, tokens)
}

// existing returns which of the Secrets that account lists under a generated name
// the Reader has. The others don't matter to planAccount.
func (c *Tokens) existing(ctx context.Context, account *corev1.ServiceAccount) (map[string]bool, error) {
	exists := map[string]bool{}
	for _, r := range account.Secrets {
		if !tokensecret.IsGeneratedName(account.Name, r.Name) {
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

// dereference removes from live, an account that was just read, its references to
// those of names that no Secret has, read live too: a Secret that was created
// again under the name keeps the reference (CTL-69 as we differ). If that one is a
// token Secret without an account, it is deleted next, and its annotations won't
// lead to live: then the error says that it is worth looking again.
func (c *Tokens) dereference(ctx context.Context, live *corev1.ServiceAccount, names []string) error {
	if live.DeletionTimestamp != nil {
		return nil
	}
	var gone []string
	var later error
	for _, name := range names {
		if !tokensecret.Listed(live, name) {
			continue // CTL-64
		}
		secret, err := c.liveSecret(ctx, live.Namespace, name)
		if err != nil {
			return err
		}
		doomed, err := c.isDoomed(ctx, secret, live)
		if err != nil {
			return err
		}
		switch {
		case secret == nil:
			gone = append(gone, name)
		case doomed:
			later = fmt.Errorf("sacontroller: Secret %s/%s has no account, and is listed in ServiceAccount %s until it is deleted", live.Namespace, name, live.Name)
		}
	}
	if len(gone) == 0 {
		return later
	}
	_, err := c.client.UpdateServiceAccount(ctx, withReferences(live, gone, ""))
	if err == nil || apierrors.IsNotFound(err) {
		return later // CTL-67
	}
	return fmt.Errorf("sacontroller: removing references from ServiceAccount %s/%s: %w", live.Namespace, live.Name, err)
}

// isDoomed reports whether secret, read live, is a token Secret without an account:
// live is one that was just read.
func (c *Tokens) isDoomed(ctx context.Context, secret *corev1.Secret, live *corev1.ServiceAccount) (bool, error) {
	if secret == nil || !isOrphan(secret, nil) {
		return false, nil
	}
	owner := live
	if name, _ := tokensecret.Owner(secret); name != live.Name {
		var err error
		if owner, err = c.liveAccount(ctx, live.Namespace, name); err != nil {
			return false, err
		}
	}
	return isOrphan(secret, owner), nil
}
