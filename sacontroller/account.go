package sacontroller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// reconcileAccount deletes the token Secrets of an account that doesn't exist, or
// mends the references of one that does.
func (a *attempt) reconcileAccount(ctx context.Context, key Key) error {
	account, err := a.cachedAccount(ctx, key.Namespace, key.Name)
	if err != nil {
		return err // CTL-28
	}
	if account == nil || account.UID != key.UID {
		return a.accountGone(ctx, key) // CTL-21
	}
	return a.accountPresent(ctx, account)
}

// accountPresent looks up what account lists, in as many attempts as that takes,
// and then gives it what it needs.
func (a *attempt) accountPresent(ctx context.Context, account *corev1.ServiceAccount) error {
	if account.DeletionTimestamp != nil {
		return nil // CTL-55 as we differ
	}
	s := a.resume(account.UID, account.ResourceVersion)
	err := a.search(ctx, account, s)
	found := err == nil
	if found {
		err = a.mend(ctx, account, s)
	}
	if found && !isYield(err) {
		return err
	}
	return a.keep(account.Namespace, account.UID, s, err)
}

// The calls that must be left for a step, so that few are made twice: those of search
// for the Reader, the account, the Secret and its owner; and those of mend.
const (
	callsPerReference = 4
	callsToMend       = 23
)

// search looks up the Secrets that account lists, from where the last attempt ended:
// first by the Reader, and those that it lacks live. A Reader that lacks a Secret
// just created (CTL-88), or another replica, thus leads to no second one. Only names
// that are generated for account matter, and without AutoGenerate, or once a token
// Secret is found, only those of the form that [tokensecret.GeneratedName] gives: to
// trust the Reader about the others is what Kubernetes does about all.
func (a *attempt) search(ctx context.Context, account *corev1.ServiceAccount, s *search) error {
	if a.auto && !s.started {
		tokens, err := a.tokenSecrets(ctx, account.Namespace, account.Name)
		if err != nil {
			return err
		}
		s.listed = listsTokenOf(account, tokens)
	}
	s.started = true
	base := tokensecret.NameBase(account.Name)
	for ; s.next < len(account.Secrets) && len(s.missing) < maxRemembered; s.next++ {
		name := account.Secrets[s.next].Name
		generated := tokensecret.IsGeneratedName(account.Name, name)
		named := a.auto && !s.listed && strings.HasPrefix(name, base)
		if !generated && !named {
			continue
		}
		if a.calls < callsPerReference {
			return errYield
		}
		secret, err := a.cachedSecret(ctx, account.Namespace, name)
		if err == nil && secret == nil {
			secret, err = a.searchLive(ctx, account, name, s)
		}
		switch {
		case err != nil:
			return err
		case secret == nil && generated:
			s.missing = append(s.missing, name)
		case tokensecret.BelongsTo(secret, account):
			s.listed = true // CTL-81
		}
	}
	return nil
}

// searchLive reads a Secret live that account lists and the Reader lacks. The
// account is read first, once for a search: only if its version is the one that is
// searched may a Secret that doesn't exist lose its reference.
func (a *attempt) searchLive(ctx context.Context, account *corev1.ServiceAccount, name string, s *search) (*corev1.Secret, error) {
	if !s.confirmed {
		if _, err := a.sameAccount(ctx, account); err != nil {
			return nil, err
		}
		s.confirmed = true
	}
	secret, err := a.liveSecret(ctx, account.Namespace, name)
	if err != nil {
		return nil, err
	}
	orphaned, err := a.isOrphanLive(ctx, secret, account)
	if orphaned {
		s.orphaned = name
	}
	return secret, err
}

// sameAccount reads account live. It is an error if that is another version than
// account, which the Reader has.
func (a *attempt) sameAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	if a.live != nil {
		return a.live, nil
	}
	live, err := a.liveAccount(ctx, account.Namespace, account.Name)
	if err != nil {
		return nil, err
	}
	if live == nil || live.UID != account.UID || live.ResourceVersion != account.ResourceVersion {
		return nil, fmt.Errorf("sacontroller: the Reader is stale: it has another version of ServiceAccount %s/%s than the API", account.Namespace, account.Name) // CTL-83, CTL-84
	}
	a.live = live
	return live, nil
}

// mend acts on a search that found all there is, or as much as is remembered: then
// the write is a change that leads to another search.
func (a *attempt) mend(ctx context.Context, account *corev1.ServiceAccount, s *search) error {
	whole := s.next == len(account.Secrets)
	generate := a.auto && whole && (!s.listed || a.pending.Get(account.UID) != "")
	switch {
	case !generate && len(s.missing) == 0:
		return s.later(account) // CTL-10, CTL-20
	case a.calls < callsToMend:
		return errYield
	}
	live, err := a.sameAccount(ctx, account)
	if err != nil {
		return err
	}
	missing := s.missing
	if generate || s.resumed {
		tokens, err := a.tokenSecrets(ctx, account.Namespace, account.Name)
		if err != nil {
			return err
		}
		missing = withoutNames(missing, tokens)
		if generate {
			return a.generateToken(ctx, live, s.listed, tokens, missing)
		}
	}
	if err := a.removeReferences(ctx, live, missing); err != nil {
		return err
	}
	return s.later(account)
}

// removeReferences removes the references to the Secrets called as in missing from
// live, an account just read.
func (a *attempt) removeReferences(ctx context.Context, live *corev1.ServiceAccount, missing []string) error {
	err := a.updateAccount(ctx, tokensecret.WithReferences(live, missing, ""))
	if err == nil || apierrors.IsNotFound(err) {
		return nil // CTL-67
	}
	return apicall.WriteError(err, "sacontroller: removing references from ServiceAccount %s/%s", live.Namespace, live.Name)
}

// isOrphanLive reports whether secret, read live and perhaps nil, is an orphaned
// token Secret. account is one that was just read.
func (a *attempt) isOrphanLive(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) (bool, error) {
	owner := account
	if name, _ := tokensecret.Owner(secret); name != account.Name {
		var err error
		if owner, err = a.liveAccount(ctx, account.Namespace, name); err != nil {
			return false, err
		}
	}
	return tokensecret.Orphaned(secret, owner), nil
}

// listsTokenOf reports whether account lists one of tokens that is a token Secret of
// its own.
func listsTokenOf(account *corev1.ServiceAccount, tokens []*corev1.Secret) bool {
	own := map[string]bool{}
	for _, s := range tokens {
		if tokensecret.BelongsTo(s, account) {
			own[s.Name] = true
		}
	}
	return slices.ContainsFunc(account.Secrets, func(r corev1.ObjectReference) bool { return own[r.Name] })
}

// withoutNames returns names without those of secrets.
func withoutNames(names []string, secrets []*corev1.Secret) []string {
	have := map[string]bool{}
	for _, s := range secrets {
		have[s.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return have[name] })
}
