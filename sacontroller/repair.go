package sacontroller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A TokenJudge says what is wrong with the token in secret, a token Secret of
// account that holds one: that it isn't a token, is for another account, UID or
// Secret, or was signed by a key that is to be retired. It returns "" if nothing
// is, and otherwise words that may be logged and shown: never any of the token.
// An error means that it couldn't tell, and is tried again later. It must be safe
// for concurrent use and must not change its arguments.
//
// The Legacy mode of tokens.Authenticator makes a good judge when its Keys lack
// those to be retired; see the example of [Tokens.Stale].
type TokenJudge func(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (fault string, err error)

// A StaleToken is a token Secret whose token is not good, and why.
type StaleToken struct {
	Namespace, Name    string // of the Secret
	ServiceAccountName string
	Fault              string // as the TokenJudge put it
}

// A TokensLister is a Reader that can list all Secrets, which [Tokens.Stale]
// needs and Reconcile doesn't.
type TokensLister interface {
	SecretLister
	ServiceAccountGetter
}

// Stale returns the token Secrets of existing accounts whose token the Judge of
// the configuration finds wrong, in the order of namespace and name. It changes
// nothing, whether Repair is set or not: it tells beforehand what Repair would
// replace and, if the Judge refuses the tokens of a key, whether that key may be
// retired: once Stale returns none.
//
// Secrets without a token and those that are being deleted don't count. It is an
// error if there is no Judge, if the Reader is no [TokensLister], or if a Secret
// couldn't be judged: then nothing is known of the whole.
func (c *Tokens) Stale(ctx context.Context) ([]StaleToken, error) {
	if c.judge == nil {
		return nil, errors.New("sacontroller: TokensConfig.Judge is nil, so no token can be stale, want a judge")
	}
	lister, ok := c.reader.(TokensLister)
	if !ok {
		return nil, fmt.Errorf("sacontroller: TokensConfig.Reader is a %T, want one with ListSecrets to look for stale tokens", c.reader)
	}
	secrets, err := lister.ListSecrets(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("sacontroller: listing Secrets: %w", err)
	}
	var stale []StaleToken
	for _, s := range secrets {
		name, _ := tokensecret.Owner(s)
		if name == "" || s.DeletionTimestamp != nil ||
			len(s.Data[corev1.ServiceAccountTokenKey]) == 0 {
			continue
		}
		account, err := found(lister.GetServiceAccount(ctx, s.Namespace, name))
		if err != nil {
			return nil, err
		}
		if account == nil || !tokensecret.BelongsTo(s, account) {
			continue
		}
		fault, err := c.judge(ctx, account, s)
		if err != nil {
			return nil, fmt.Errorf("sacontroller: judging the token of Secret %s/%s: %w", s.Namespace, s.Name, err)
		}
		if fault != "" {
			stale = append(stale, StaleToken{Namespace: s.Namespace, Name: s.Name, ServiceAccountName: name, Fault: fault})
		}
	}
	slices.SortFunc(stale, func(a, b StaleToken) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return stale, nil
}
