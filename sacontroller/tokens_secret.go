package sacontroller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
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
	return c.secretPresent(ctx, key, secret)
}

// secretPresent deals with a Secret that the Reader has. The account is the one
// that the Secret names now: an annotation that was edited after the event has a
// key of its own.
func (c *Tokens) secretPresent(ctx context.Context, key Key, secret *corev1.Secret) error {
	name, _ := tokensecret.Owner(secret)
	if name == "" || secret.DeletionTimestamp != nil {
		return nil
	}
	account, err := found(c.reader.GetServiceAccount(ctx, secret.Namespace, name))
	if err != nil {
		return err
	}
	if account == nil || !tokensecret.BelongsTo(secret, account) {
		// The Reader may be behind: ask the API (CTL-40).
		account, err = c.liveAccount(ctx, secret.Namespace, name)
		if err != nil {
			return err // CTL-41
		}
		if account == nil || !tokensecret.BelongsTo(secret, account) {
			return c.deleteIfOrphan(ctx, secret, account) // CTL-42
		}
	}
	return c.fill(ctx, key, secret, account)
}

// fill writes what a Secret of account lacks. The write carries the
// resourceVersion of the Secret that was judged, so that a copy that is out of
// date costs a conflict and never overwrites anything; the Secret is then read
// and judged once more.
func (c *Tokens) fill(ctx context.Context, key Key, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	lacking, err := c.lacking(ctx, secret, account)
	if err != nil || lacking == (fill{}) {
		return err // CTL-44
	}
	if wait := c.pace.wait(key); wait > 0 {
		return &undoneError{key, wait}
	}
	// A write without a resourceVersion would overwrite whatever is there.
	if secret.ResourceVersion != "" {
		err = c.writeFilled(ctx, key, secret, account, lacking)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	live, err := c.liveSecret(ctx, secret.Namespace, secret.Name)
	if err != nil || live == nil || live.UID != secret.UID || !tokensecret.BelongsTo(live, account) {
		return err // CTL-46; what has changed since makes an event of its own
	}
	lacking, err = c.lacking(ctx, live, account)
	if err != nil || lacking == (fill{}) {
		return err // CTL-48
	}
	return c.writeFilled(ctx, key, live, account, lacking)
}

// lacking returns what secret lacks, a good token included if bad ones are to be
// replaced.
func (c *Tokens) lacking(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) (fill, error) {
	f := planFill(secret, account, c.rootCA.get())
	if !c.repair || f.Token || secret.DeletionTimestamp != nil || account.DeletionTimestamp != nil {
		return f, nil
	}
	fault, err := c.judge(ctx, account, secret)
	if err != nil {
		return fill{}, fmt.Errorf("sacontroller: judging the token of Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	f.Token = fault != ""
	return f, nil
}

// writeFilled makes one attempt to fill secret. A Secret that is gone is success
// (CTL-52).
func (c *Tokens) writeFilled(ctx context.Context, key Key, secret *corev1.Secret, account *corev1.ServiceAccount, lacking fill) error {
	if secret.Immutable != nil && *secret.Immutable {
		return fmt.Errorf("sacontroller: Secret %s/%s is immutable and incomplete, want it deleted and created again", secret.Namespace, secret.Name)
	}
	token := ""
	if lacking.Token {
		var err error
		if token, err = c.issue(ctx, account, secret); err != nil {
			return err
		}
	}
	complete := filled(secret, account, lacking, c.rootCA.get(), token)
	if lacking.Token && c.repair {
		// A judge that likes nothing would have the token replaced for ever.
		if fault, err := c.judge(ctx, account, complete); err != nil || fault != "" {
			return errors.Join(err, fmt.Errorf("sacontroller: the new token of Secret %s/%s is no better than the old one: %s", secret.Namespace, secret.Name, fault))
		}
	}
	_, err := c.client.UpdateSecret(ctx, complete)
	if err == nil {
		c.pace.wrote(key)
	}
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
