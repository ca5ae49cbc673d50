package sacontroller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// accountGone deletes the token Secrets of an account that the Reader no longer
// has, each after the account and the Secret were read live: the Reader may be
// stale, or the account may have been created again (CTL-21, CTL-23 as we differ).
func (c *Tokens) accountGone(ctx context.Context, key Key, secrets []*corev1.Secret) error {
	if len(secrets) > 0 {
		live, err := c.liveAccount(ctx, key.Namespace, key.Name)
		if err != nil {
			return err
		}
		if live != nil && live.UID == key.UID {
			return nil // the Reader will know soon, and that is a change
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

// deleteIfOrphan deletes the token Secret of that name and UID unless it turns out,
// read live, to be another one or to have an account: live is the account that the
// caller knows of, read live before, or nil if there is none (CTL-24, CTL-25).
func (c *Tokens) deleteIfOrphan(ctx context.Context, secret *corev1.Secret, live *corev1.ServiceAccount) error {
	now, err := c.liveSecret(ctx, secret.Namespace, secret.Name)
	if err != nil || now == nil || now.UID != secret.UID || !isOrphan(now, live) {
		return err
	}
	// The live Secret may have been given to another account since it was cached.
	was, _ := tokensecret.Owner(secret)
	if is, _ := tokensecret.Owner(now); is != was {
		return nil
	}
	return c.deleteSecret(ctx, now)
}

// deleteSecret deletes the very Secret that was read. That it doesn't exist any
// more, or is another one, is success. A Conflict alone doesn't say so: a webhook or
// a proxy may have answered, and nothing else would ever lead to an orphan whose
// account is deleted.
func (c *Tokens) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	var opts metav1.DeleteOptions
	if secret.UID != "" {
		opts.Preconditions = metav1.NewUIDPreconditions(string(secret.UID))
	}
	err := c.client.DeleteSecret(ctx, secret.Namespace, secret.Name, opts)
	if apierrors.IsConflict(err) {
		now, getErr := c.liveSecret(ctx, secret.Namespace, secret.Name)
		if getErr == nil && (now == nil || now.UID != secret.UID) {
			return nil // CTL-25
		}
	}
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("sacontroller: deleting Secret %s/%s: %w", secret.Namespace, secret.Name, err)
}

// isOrphan reports whether the token Secret secret, read live, has no account:
// live is the account of the name that it is annotated with, read live, or nil if
// there is none. A Secret that is being deleted is left alone.
func isOrphan(secret *corev1.Secret, live *corev1.ServiceAccount) bool {
	name, _ := tokensecret.Owner(secret)
	return name != "" && secret.DeletionTimestamp == nil && !tokensecret.BelongsTo(secret, live)
}

// tokensOfUID returns the Secrets of secrets that were tokens of the account
// of key: annotated with its UID, or with none (CTL-22).
func tokensOfUID(secrets []*corev1.Secret, key Key) []*corev1.Secret {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name, account.UID = key.Namespace, key.Name, key.UID
	var tokens []*corev1.Secret
	for _, s := range secrets {
		if s.DeletionTimestamp == nil && tokensecret.BelongsTo(s, account) {
			tokens = append(tokens, s)
		}
	}
	return tokens
}
