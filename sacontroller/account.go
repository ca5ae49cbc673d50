package sacontroller

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// reconcileAccount deletes the token Secrets of an account that doesn't exist, or
// mends the references of one that does.
func (c *Tokens) reconcileAccount(ctx context.Context, key Key) error {
	account, err := getIfExists(ctx, c.reader.GetServiceAccount, key.Namespace, key.Name)
	if err != nil {
		return err // CTL-28
	}
	secrets, err := requireObjects(c.reader.TokenSecrets(ctx, key.Namespace, key.Name))
	if err != nil {
		return fmt.Errorf("sacontroller: listing the token Secrets of ServiceAccount %s/%s: %w", key.Namespace, key.Name, err)
	}
	if account == nil || account.UID != key.UID {
		return c.accountGone(ctx, key, tokensOfUID(secrets, key)) // CTL-21
	}
	return c.accountPresent(ctx, account, secrets)
}

// accountPresent decides by the Reader whether account needs anything, and reads
// live before it acts.
func (c *Tokens) accountPresent(ctx context.Context, account *corev1.ServiceAccount, tokens []*corev1.Secret) error {
	exists, err := c.generatedThatExist(ctx, account)
	if err != nil {
		return err
	}
	plan := planAccount(account, tokens, exists, c.auto)
	generates := plan.Generate || c.pending.get(account.UID) != ""
	if !generates && len(plan.Missing) == 0 {
		return nil // CTL-10, CTL-20
	}
	live, err := c.liveAccount(ctx, account.Namespace, account.Name)
	if err != nil {
		return err
	}
	same := live != nil && live.UID == account.UID
	switch {
	case !generates && !same:
		return nil
	case !generates:
		return c.dereference(ctx, live, plan.Missing)
	case !same || live.ResourceVersion != account.ResourceVersion:
		return fmt.Errorf("sacontroller: the Reader is stale: it has another version of ServiceAccount %s/%s than the API", account.Namespace, account.Name) // CTL-83, CTL-84
	case live.DeletionTimestamp != nil:
		return nil
	}
	return c.generateToken(ctx, live, tokens)
}

// generatedThatExist returns which of the Secrets that account lists under a
// generated name the Reader has. The others don't matter to planAccount.
func (c *Tokens) generatedThatExist(ctx context.Context, account *corev1.ServiceAccount) (map[string]bool, error) {
	exists := map[string]bool{}
	for _, r := range account.Secrets {
		if !tokensecret.IsGeneratedName(account.Name, r.Name) {
			continue
		}
		secret, err := getIfExists(ctx, c.reader.GetSecret, account.Namespace, r.Name)
		if err != nil {
			return nil, err
		}
		exists[r.Name] = secret != nil
	}
	return exists, nil
}

// dereference removes from live, an account just read, its references to those of
// names that no Secret has, read live too: a Secret that was created again under
// the name keeps the reference (CTL-69 as we differ). If that one is an orphaned
// token Secret, it is deleted next, and its annotations won't lead to live: then
// the error asks for another attempt.
func (c *Tokens) dereference(ctx context.Context, live *corev1.ServiceAccount, names []string) error {
	if live.DeletionTimestamp != nil {
		return nil
	}
	var missing []string
	var later error
	for _, name := range names {
		if !tokensecret.Listed(live, name) {
			continue // CTL-64
		}
		secret, err := c.liveSecret(ctx, live.Namespace, name)
		if err != nil {
			return err
		}
		orphaned, err := c.isOrphanLive(ctx, secret, live)
		if err != nil {
			return err
		}
		switch {
		case secret == nil:
			missing = append(missing, name)
		case orphaned:
			later = fmt.Errorf("sacontroller: Secret %s/%s is orphaned, and listed in ServiceAccount %s until it is deleted", live.Namespace, name, live.Name)
		}
	}
	if len(missing) == 0 {
		return later
	}
	_, err := requireObject(c.client.UpdateServiceAccount(ctx, withReferences(live, missing, "")))
	if err == nil || apierrors.IsNotFound(err) {
		return later // CTL-67
	}
	return fmt.Errorf("sacontroller: removing references from ServiceAccount %s/%s: %w", live.Namespace, live.Name, err)
}

// isOrphanLive reports whether secret, read live and perhaps nil, is an orphaned
// token Secret. account is one that was just read.
func (c *Tokens) isOrphanLive(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) (bool, error) {
	if secret == nil || !isOrphan(secret, nil) {
		return false, nil
	}
	owner := account
	if name, _ := tokensecret.Owner(secret); name != account.Name {
		var err error
		if owner, err = c.liveAccount(ctx, account.Namespace, name); err != nil {
			return false, err
		}
	}
	return isOrphan(secret, owner), nil
}

// An accountPlan says what an account seems to need.
type accountPlan struct {
	Generate bool     // no token Secret is listed
	Missing  []string // listed names of generated form that no Secret has
}

// planAccount decides by the names of the Secrets that account lists. tokens are
// the token Secrets annotated with its name, and exists tells which of the listed
// names of generated form a Secret has.
func planAccount(account *corev1.ServiceAccount, tokens []*corev1.Secret, exists map[string]bool, autoGenerate bool) accountPlan {
	if account.DeletionTimestamp != nil {
		return accountPlan{} // CTL-55 as we differ
	}
	p := accountPlan{Generate: autoGenerate && !slices.ContainsFunc(tokens, func(s *corev1.Secret) bool {
		return tokensecret.BelongsTo(s, account) && tokensecret.Listed(account, s.Name) // CTL-81
	})}
	missing := map[string]bool{}
	for _, r := range account.Secrets {
		if !exists[r.Name] && tokensecret.IsGeneratedName(account.Name, r.Name) {
			missing[r.Name] = true
		}
	}
	p.Missing = slices.Sorted(maps.Keys(missing))
	return p
}

// withReferences returns a copy of account that no longer lists the Secrets called
// as in drop, keeps the order of the others (CTL-65), and lists the Secret called
// add, unless that is empty, last (CTL-89).
func withReferences(account *corev1.ServiceAccount, drop []string, add string) *corev1.ServiceAccount {
	a := account.DeepCopy()
	a.Secrets = slices.DeleteFunc(a.Secrets, func(r corev1.ObjectReference) bool { return slices.Contains(drop, r.Name) })
	if add != "" && !tokensecret.Listed(a, add) {
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: add})
	}
	return a
}
