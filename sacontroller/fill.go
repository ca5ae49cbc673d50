package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// reconcileSecret fills a token Secret, deletes it if it is orphaned, or removes
// the reference to it if it doesn't exist.
func (a *attempt) reconcileSecret(ctx context.Context, key Key) error {
	secret, err := a.cachedSecret(ctx, key.Namespace, key.Name)
	if err != nil {
		return err // CTL-32
	}
	if secret == nil || secret.UID != key.UID {
		return a.secretGone(ctx, key) // CTL-31
	}
	return a.secretPresent(ctx, key, secret)
}

// secretPresent fills a Secret that the Reader has, or deletes it if it is
// orphaned. The account is the one that the Secret names now: an annotation that
// was edited after the change has a key of its own.
func (a *attempt) secretPresent(ctx context.Context, key Key, secret *corev1.Secret) error {
	name, _ := tokensecret.Owner(secret)
	switch {
	case name == "" || secret.DeletionTimestamp != nil:
		return nil
	case !isSegment(name):
		// An API server can't be asked for it, and Kubernetes leaves the Secret alone.
		return apicall.Terminalf("sacontroller: Secret %s/%s is annotated with the ServiceAccount %s, which can't exist, want another name", secret.Namespace, secret.Name, names.Quote(name))
	}
	account, err := a.cachedAccount(ctx, secret.Namespace, name)
	if err != nil {
		return err
	}
	if !tokensecret.BelongsTo(secret, account) {
		// The Reader may be stale: ask the API (CTL-40).
		account, err = a.liveAccount(ctx, secret.Namespace, name)
		if err != nil {
			return err // CTL-41
		}
		if !tokensecret.BelongsTo(secret, account) {
			return a.deleteIfOrphan(ctx, secret.Namespace, orphan{secret.Name, secret.UID}, name, account) // CTL-42
		}
	}
	return a.fill(ctx, key, secret, account)
}

// isSegment reports whether an API server can be asked for an object called name,
// which may be no valid one: then it says that there is none.
func isSegment(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/%")
}

// fill writes what a Secret of account lacks. The write carries the
// resourceVersion of the Secret that was looked at, so that a stale copy costs a
// conflict and never overwrites anything; then the Secret is read live and looked
// at once more.
func (a *attempt) fill(ctx context.Context, key Key, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	lacking, err := a.lacking(ctx, secret, account)
	if lacking == (tokensecret.Fill{}) {
		return err // CTL-44
	}
	if wait := a.throttle.Wait(key); wait > 0 {
		return apicall.Reverted("sacontroller", key, wait)
	}
	// A write without a resourceVersion would overwrite whatever is stored.
	if secret.ResourceVersion != "" {
		err = a.writeFilled(ctx, key, secret, account, lacking)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	live, err := a.liveSecret(ctx, secret.Namespace, secret.Name)
	if live == nil || live.UID != secret.UID || !tokensecret.BelongsTo(live, account) {
		return err // CTL-46; what has changed since is a change of its own
	}
	lacking, err = a.lacking(ctx, live, account)
	if lacking == (tokensecret.Fill{}) {
		return err // CTL-48
	}
	return a.writeFilled(ctx, key, live, account, lacking)
}

// lacking returns what secret lacks, a valid token included if invalid ones are
// to be replaced.
func (a *attempt) lacking(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) (tokensecret.Fill, error) {
	f := tokensecret.Lacking(secret, account, a.rootCA.Get(ctx))
	if !a.replaceInvalid || f.Token || secret.DeletionTimestamp != nil || account.DeletionTimestamp != nil {
		return f, nil
	}
	problem, err := a.checkToken(ctx, account, secret)
	if err != nil {
		return tokensecret.Fill{}, err
	}
	f.Token = problem != ""
	return f, nil
}

// writeFilled makes one attempt to fill secret. A Secret that doesn't exist any
// more is success (CTL-52).
func (a *attempt) writeFilled(ctx context.Context, key Key, secret *corev1.Secret, account *corev1.ServiceAccount, lacking tokensecret.Fill) error {
	if secret.Immutable != nil && *secret.Immutable {
		return apicall.Terminalf("sacontroller: Secret %s/%s is immutable and incomplete, want it deleted and created again", secret.Namespace, secret.Name)
	}
	token := ""
	if lacking.Token {
		var err error
		if token, err = a.issue(ctx, account, secret); err != nil {
			return err
		}
	}
	complete := tokensecret.Filled(secret, account, lacking, a.rootCA.Get(ctx), token)
	if size := tokensecret.DataSize(complete); size > corev1.MaxSecretSize {
		return apicall.Terminalf("sacontroller: Secret %s/%s would hold %d bytes once it is filled, want at most %d", secret.Namespace, secret.Name, size, corev1.MaxSecretSize)
	}
	if lacking.Token && a.replaceInvalid {
		// A check that accepts nothing would have the token replaced for ever.
		problem, err := a.checkToken(ctx, account, complete)
		if problem != "" {
			err = errors.New(problem)
		}
		if err != nil {
			return fmt.Errorf("sacontroller: the new token of Secret %s/%s is invalid too: %w", secret.Namespace, secret.Name, err)
		}
	}
	_, err := counted(a, func() (*corev1.Secret, error) { return contract.Require(a.client.UpdateSecret(ctx, complete)) })
	if err == nil {
		a.throttle.Wrote(key)
	}
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return apicall.WriteError(err, "sacontroller: filling Secret %s/%s", secret.Namespace, secret.Name)
}

// secretGone removes the references to a Secret that the Reader no longer has
// from the account that it named (CTL-60..70).
func (a *attempt) secretGone(ctx context.Context, key Key) error {
	account, err := a.cachedAccount(ctx, key.Namespace, key.ServiceAccountName)
	if err != nil {
		return err
	}
	if !isOwner(account, key) {
		return nil // CTL-60
	}
	live, err := a.liveAccount(ctx, key.Namespace, key.ServiceAccountName)
	if !isOwner(live, key) {
		return err // CTL-62, CTL-63
	}
	return a.dereference(ctx, live, key.Name)
}

// dereference removes from live, an account just read, its references to a Secret
// that doesn't exist, read live too: a Secret that was created again under the name
// keeps the reference (CTL-69 as we differ). If that one is an orphaned token Secret,
// it is deleted next, and its annotations won't lead to live: then the error asks
// for another attempt.
func (a *attempt) dereference(ctx context.Context, live *corev1.ServiceAccount, name string) error {
	if live.DeletionTimestamp != nil || !tokensecret.Listed(live, name) {
		return nil // CTL-64
	}
	secret, err := a.liveSecret(ctx, live.Namespace, name)
	if err != nil {
		return err
	}
	if secret == nil {
		return a.removeReferences(ctx, live, []string{name})
	}
	if orphaned, err := a.isOrphanLive(ctx, secret, live); !orphaned {
		return err
	}
	return listsOrphan(live, name)
}

// isOwner reports whether account, which may be nil, is the one of key, or one of
// its name that may list the Secret because the name was generated for both.
func isOwner(account *corev1.ServiceAccount, key Key) bool {
	return account != nil && (key.ServiceAccountUID == "" || account.UID == key.ServiceAccountUID ||
		tokensecret.IsGeneratedName(account.Name, key.Name))
}
