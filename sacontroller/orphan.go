package sacontroller

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// accountGone deletes the token Secrets of an account that the Reader no longer
// has, each after the account and the Secret were read live: the Reader may be
// stale, or the account may have been created again (CTL-21, CTL-23 as we differ).
// It takes as many attempts as there are calls to make, and then another one if a
// Secret could not be deleted (CTL-26).
func (a *attempt) accountGone(ctx context.Context, key Key) error {
	s := a.resume(key.UID, "")
	for more := true; more; {
		if a.calls < callsToDelete {
			return a.keep(key.Namespace, key.UID, s, errYield)
		}
		if len(s.orphans) == 0 {
			secrets, err := a.tokenSecrets(ctx, key.Namespace, key.Name)
			if err != nil {
				return err
			}
			if s.orphans = orphansOf(secrets, key, s.after); len(s.orphans) == 0 {
				break
			}
			s.after, s.more = s.orphans[len(s.orphans)-1].name, len(s.orphans) == maxRemembered
		}
		live, err := a.liveAccount(ctx, key.Namespace, key.Name)
		if err != nil {
			return err
		}
		if live != nil && live.UID == key.UID {
			return nil // the Reader will know soon, and that is a change
		}
		for ; len(s.orphans) > 0; s.orphans = s.orphans[1:] {
			if a.calls < callsPerOrphan {
				return a.keep(key.Namespace, key.UID, s, errYield)
			}
			s.failed = cmp.Or(s.failed, a.deleteIfOrphan(ctx, key.Namespace, s.orphans[0], key.Name, live))
		}
		more = s.more
	}
	if s.failed == nil {
		a.pending.Forget(key.UID)
	}
	return s.failed
}

// The calls that are left for the next steps: those of deleteIfOrphan, and before
// them the list and the account.
const (
	callsPerOrphan = 3
	callsToDelete  = 2 + callsPerOrphan
)

// deleteIfOrphan deletes a token Secret of the account called owner unless it turns
// out, read live, to be another one or to have an account: live is the account that
// the caller knows of, read live before, or nil if there is none (CTL-24, CTL-25).
// It may have been given to another account since it was cached.
func (a *attempt) deleteIfOrphan(ctx context.Context, namespace string, secret orphan, owner string, live *corev1.ServiceAccount) error {
	now, err := a.liveSecret(ctx, namespace, secret.name)
	if now == nil || now.UID != secret.uid || !tokensecret.Orphaned(now, live) {
		return err
	}
	if is, _ := tokensecret.Owner(now); is != owner {
		return nil
	}
	return a.deleteSecret(ctx, now)
}

// deleteSecret deletes the very Secret that was read. That it doesn't exist any
// more, or is another one, is success. A Conflict alone doesn't say so: a webhook or
// a proxy may have answered, and nothing else would ever lead to an orphan whose
// account is deleted.
func (a *attempt) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	var opts metav1.DeleteOptions
	if secret.UID != "" {
		opts.Preconditions = metav1.NewUIDPreconditions(string(secret.UID))
	}
	_, err := counted(a, func() (any, error) {
		return nil, a.client.DeleteSecret(ctx, secret.Namespace, secret.Name, opts)
	})
	if apierrors.IsConflict(err) {
		now, getErr := a.liveSecret(ctx, secret.Namespace, secret.Name)
		if getErr == nil && (now == nil || now.UID != secret.UID) {
			return nil // CTL-25
		}
	}
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("sacontroller: deleting Secret %s/%s: %w", secret.Namespace, secret.Name, err)
}

// orphansOf returns the Secrets of secrets, in the order of their names, that come
// after a name and were tokens of the account of key: annotated with its UID, or
// with none (CTL-22). There are maxRemembered at most.
func orphansOf(secrets []*corev1.Secret, key Key, after string) []orphan {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name, account.UID = key.Namespace, key.Name, key.UID
	var orphans []orphan
	for _, s := range secrets {
		if s.Name > after && s.DeletionTimestamp == nil && tokensecret.BelongsTo(s, account) {
			if orphans = append(orphans, orphan{s.Name, s.UID}); len(orphans) == maxRemembered {
				break
			}
		}
	}
	return orphans
}
