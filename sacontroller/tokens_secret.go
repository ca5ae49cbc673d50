package sacontroller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reconcileSecret fills a token Secret, deletes it, or cleans up after it.
func (c *Tokens) reconcileSecret(ctx context.Context, key Key) error {
	secret, err := found(c.reader.GetSecret(ctx, key.Namespace, key.Name))
	if err != nil {
		return err // CTL-32
	}
	if secret == nil || secret.UID != key.UID {
		return c.secretGone(ctx, key) // CTL-31
	}
	return c.secretPresent(ctx, secret)
}

// secretPresent deals with a Secret that the Reader has. The account is the one
// that the Secret names now: an annotation that was edited after the event has a
// key of its own.
func (c *Tokens) secretPresent(ctx context.Context, secret *corev1.Secret) error {
	name, _ := ownerOf(secret)
	if name == "" || secret.DeletionTimestamp != nil {
		return nil
	}
	account, err := found(c.reader.GetServiceAccount(ctx, secret.Namespace, name))
	if err != nil {
		return err
	}
	if account == nil || !belongsTo(secret, account) {
		// The Reader may be behind: ask the API (CTL-40).
		account, err = c.liveAccount(ctx, secret.Namespace, name)
		if err != nil {
			return err // CTL-41
		}
		if account == nil || !belongsTo(secret, account) {
			if frozen, err := c.frozen(ctx, secret.Namespace); frozen || err != nil {
				return err
			}
			return c.deleteIfOrphan(ctx, secret, account) // CTL-42
		}
	}
	return c.fill(ctx, secret, account)
}

// fill writes what a Secret of account lacks. The write carries the
// resourceVersion of the Secret that was judged, so that a copy that is out of
// date costs a conflict and never overwrites anything; the Secret is then read
// and judged once more.
func (c *Tokens) fill(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	if planFill(secret, account, c.rootCA) == (fill{}) {
		return nil // CTL-44
	}
	if frozen, err := c.frozen(ctx, secret.Namespace); frozen || err != nil {
		return err
	}
	if secret.ResourceVersion == "" {
		// A write without a resourceVersion would overwrite whatever is there.
		return c.fillLive(ctx, secret, account)
	}
	err := c.writeFilled(ctx, secret, account)
	if apierrors.IsConflict(err) {
		return c.fillLive(ctx, secret, account)
	}
	return err
}

// fillLive reads the Secret again and fills it if it is still the same one.
func (c *Tokens) fillLive(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	live, err := c.liveSecret(ctx, secret.Namespace, secret.Name)
	if err != nil || live == nil || live.UID != secret.UID || !belongsTo(live, account) {
		return err // CTL-46; what has changed since makes an event of its own
	}
	if planFill(live, account, c.rootCA) == (fill{}) {
		return nil // CTL-48
	}
	return c.writeFilled(ctx, live, account)
}

// writeFilled makes one attempt to fill secret. A Secret that is gone is success
// (CTL-52).
func (c *Tokens) writeFilled(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	f := planFill(secret, account, c.rootCA)
	if secret.Immutable != nil && *secret.Immutable {
		return fmt.Errorf("sacontroller: Secret %s/%s is immutable and incomplete, want it deleted and created again", secret.Namespace, secret.Name)
	}
	token := ""
	if f.Token {
		var err error
		if token, err = c.issue(ctx, account, secret); err != nil {
			return err
		}
	}
	_, err := c.client.UpdateSecret(ctx, filled(secret, account, f, c.rootCA, token))
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("sacontroller: filling Secret %s/%s: %w", secret.Namespace, secret.Name, err)
}

// issue signs the token for secret.
func (c *Tokens) issue(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	token, err := c.issuer.IssueLegacy(ctx, account, secret)
	if err == nil && token == "" {
		err = errors.New("the issuer returned no token")
	}
	if err != nil {
		return "", fmt.Errorf("sacontroller: signing the token of Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return token, nil
}

// secretGone removes the references to a Secret that the Reader no longer has
// from the account that it named (CTL-60..70).
func (c *Tokens) secretGone(ctx context.Context, key Key) error {
	account, err := found(c.reader.GetServiceAccount(ctx, key.Namespace, key.ServiceAccountName))
	if err != nil {
		return err
	}
	if account == nil || !sameUID(account, key) {
		return nil // CTL-60
	}
	live, err := c.liveAccount(ctx, key.Namespace, key.ServiceAccountName)
	if err != nil || live == nil || !sameUID(live, key) {
		return err // CTL-62, CTL-63
	}
	return c.dereference(ctx, live, []string{key.Name})
}

func sameUID(account *corev1.ServiceAccount, key Key) bool {
	return key.ServiceAccountUID == "" || account.UID == key.ServiceAccountUID
}

// dereference removes from live, an account that was just read, its references to
// those of names that no Secret has, read live too: a Secret that was created
// again under the name keeps the reference (CTL-69 as we differ).
func (c *Tokens) dereference(ctx context.Context, live *corev1.ServiceAccount, names []string) error {
	if live.DeletionTimestamp != nil {
		return nil
	}
	var gone []string
	for _, name := range names {
		if !lists(live, name) {
			continue // CTL-64
		}
		secret, err := c.liveSecret(ctx, live.Namespace, name)
		if err != nil {
			return err
		}
		if secret == nil {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if frozen, err := c.frozen(ctx, live.Namespace); frozen || err != nil {
		return err
	}
	_, err := c.client.UpdateServiceAccount(ctx, withReferences(live, gone, ""))
	if err == nil || apierrors.IsNotFound(err) {
		return nil // CTL-67
	}
	return fmt.Errorf("sacontroller: removing references from ServiceAccount %s/%s: %w", live.Namespace, live.Name, err)
}
