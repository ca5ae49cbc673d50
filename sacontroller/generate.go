package sacontroller

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// generateToken gives live, an account just read, a token Secret unless it lists
// one. It goes on with the Secret of an earlier attempt, if there is one. cached are
// the token Secrets that the Reader has of the account, missing the generated names
// that it lists and no Secret has.
func (a *attempt) generateToken(ctx context.Context, live *corev1.ServiceAccount, listed bool, cached []*corev1.Secret, missing []string) error {
	secret, err := a.unlistedToken(ctx, live, cached)
	if err != nil {
		return err
	}
	if listed {
		return a.discard(ctx, live, secret)
	}
	if secret == nil {
		secret, err = a.createToken(ctx, live)
	}
	if secret == nil {
		return err
	}
	return a.addReference(ctx, live, secret, missing)
}

// unlistedToken returns the Secret that an unfinished attempt created for account,
// read live, or nil: the one this process remembers, else one that the Reader has.
func (a *attempt) unlistedToken(ctx context.Context, account *corev1.ServiceAccount, cached []*corev1.Secret) (*corev1.Secret, error) {
	name := a.pending.Get(account.UID)
	if name == "" {
		s := tokensecret.Leftover(account, cached)
		if s == nil {
			return nil, nil
		}
		name = s.Name
	}
	live, err := a.liveSecret(ctx, account.Namespace, name)
	if !tokensecret.IsLeftover(account, live) {
		return nil, err
	}
	return live, nil
}

// maxNames bounds how many names an attempt tries. A name that is taken is an
// accident of one in fourteen million.
const maxNames = 4

// createToken creates the token Secret of account, or finds that it exists.
// It returns nil if the Namespace is being deleted (CTL-87).
func (a *attempt) createToken(ctx context.Context, account *corev1.ServiceAccount) (*corev1.Secret, error) {
	base := tokensecret.NameBase(account.Name)
	rootCA := a.rootCA.Get(ctx)
	for attempt := range maxNames {
		name := tokensecret.StableName(account, base, attempt)
		if a.generate != nil {
			name = a.generate(base)
		}
		token, err := a.issue(ctx, account, tokensecret.New(account, name, nil, ""))
		if err != nil {
			return nil, err // CTL-86
		}
		a.pending.Set(account.UID, name)
		created, err := counted(a, func() (*corev1.Secret, error) {
			return contract.Require(a.client.CreateSecret(ctx, tokensecret.New(account, name, rootCA, token)))
		})
		switch {
		case err == nil:
			return created, nil
		case apicall.SaysTerminating(err):
			a.pending.Forget(account.UID)
			return nil, nil
		case !apierrors.IsAlreadyExists(err):
			if apicall.Permanent(err) {
				a.pending.Forget(account.UID)
			}
			return nil, apicall.WriteError(err, "sacontroller: creating a token Secret for ServiceAccount %s/%s", account.Namespace, account.Name)
		}
		live, err := a.liveSecret(ctx, account.Namespace, name)
		if err != nil {
			return nil, err
		}
		if tokensecret.IsLeftover(account, live) {
			return live, nil
		}
	}
	return nil, fmt.Errorf("sacontroller: found no free name for a token Secret of ServiceAccount %s/%s", account.Namespace, account.Name)
}

// maxReferenceAttempts is how often a conflict on the account is met with another
// read and write before the key is left for later (CTL-89).
const maxReferenceAttempts = 5

// addReference lists secret in account and drops missing. If it turns out that the
// account must not have it, or can't, secret is deleted again (CTL-90). After any
// other failure secret stays: the write may have been stored, and the next attempt
// goes on with the same Secret.
func (a *attempt) addReference(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret, missing []string) error {
	for range maxReferenceAttempts {
		err := a.updateAccount(ctx, tokensecret.WithReferences(account, missing, secret.Name))
		switch {
		case err == nil:
			a.pending.Forget(account.UID)
			return nil
		case apierrors.IsNotFound(err):
			return a.discard(ctx, account, secret) // CTL-91
		case !apierrors.IsConflict(err):
			err = apicall.WriteError(err, "sacontroller: listing a new token Secret in ServiceAccount %s/%s", account.Namespace, account.Name)
			if _, ok := errors.AsType[*TerminalError](err); ok {
				return cmp.Or(a.discard(ctx, account, secret), err)
			}
			return err
		}
		live, err := a.liveAccount(ctx, account.Namespace, account.Name)
		switch {
		case err != nil:
			return err
		case live == nil || live.UID != account.UID || live.DeletionTimestamp != nil:
			return a.discard(ctx, account, secret)
		case tokensecret.Listed(live, secret.Name):
			a.pending.Forget(account.UID) // an answer was lost, or another replica was faster
			return nil
		}
		listed, err := a.listsAnother(ctx, account, live)
		if err != nil {
			return err
		}
		if listed {
			return a.discard(ctx, live, secret)
		}
		// What was missing may exist by now; the write leads to another search.
		account, missing = live, nil
	}
	return fmt.Errorf("sacontroller: ServiceAccount %s/%s keeps changing while a token Secret is being listed in it", account.Namespace, account.Name)
}

// listsAnother reports whether live lists a token Secret that account, an older
// version, doesn't list.
func (a *attempt) listsAnother(ctx context.Context, account, live *corev1.ServiceAccount) (bool, error) {
	old := make(map[string]bool, len(account.Secrets))
	for _, r := range account.Secrets {
		old[r.Name] = true
	}
	for _, r := range live.Secrets {
		if old[r.Name] {
			continue
		}
		secret, err := a.cachedSecret(ctx, live.Namespace, r.Name)
		if err == nil && !tokensecret.BelongsTo(secret, live) {
			secret, err = a.liveSecret(ctx, live.Namespace, r.Name)
		}
		if err != nil {
			return false, err
		}
		if tokensecret.BelongsTo(secret, live) {
			return true, nil
		}
	}
	return false, nil
}

// discard deletes secret, unless it is nil, and forgets that it was generated for
// account.
func (a *attempt) discard(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) error {
	if secret != nil {
		if err := a.deleteSecret(ctx, secret); err != nil {
			return err
		}
	}
	a.pending.Forget(account.UID)
	return nil
}
