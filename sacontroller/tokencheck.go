package sacontroller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// A TokenCheck says what is wrong with the token in secret, a token Secret of
// account that holds one: that it isn't a token, is for another account, UID or
// Secret, or was signed by a key that is to be retired. problem is empty if the
// token is valid, and otherwise a text that may be logged and shown: never any
// part of the token. An error means that the check failed; it is retryable. A
// TokenCheck must be safe for concurrent use and must not change its arguments.
//
// A tokens.Authenticator with Legacy can serve as one, with Keys that lack those to
// be retired; see the example of [Tokens.InvalidTokens].
type TokenCheck func(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (problem string, err error)

// An InvalidToken is a token Secret whose token a [TokenCheck] found invalid.
type InvalidToken struct {
	Namespace, Name    string // of the Secret
	ServiceAccountName string
	Problem            string // as returned by the TokenCheck
}

// InvalidTokens returns the token Secrets, of the tenant of ctx, of existing accounts whose token
// CheckToken finds invalid, in the order of namespace and name. It writes
// nothing: it tells what ReplaceInvalid would replace and, if CheckToken rejects
// the tokens that a key signed, whether that key may be retired: once there are
// none.
//
// Secrets without a token and those that are being deleted don't count. It is an
// error if there is no CheckToken, if the Reader has no method ListSecrets like that
// of fake.Cluster, or if a check failed: then nothing is known of the whole.
func (c *Tokens) InvalidTokens(ctx context.Context) ([]InvalidToken, error) {
	if c.check == nil {
		return nil, errors.New("sacontroller: TokensConfig.CheckToken is nil, want a TokenCheck to find invalid tokens")
	}
	lister, ok := c.reader.(interface {
		ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error)
	})
	if !ok {
		return nil, fmt.Errorf("sacontroller: TokensConfig.Reader is a %T, want one with ListSecrets to find invalid tokens", c.reader)
	}
	secrets, err := apicall.RequireAll(lister.ListSecrets(ctx, ""))
	if err != nil {
		return nil, fmt.Errorf("sacontroller: listing Secrets: %w", err)
	}
	var invalid []InvalidToken
	for _, s := range secrets {
		name, _ := tokensecret.Owner(s)
		if s.DeletionTimestamp != nil || len(s.Data[corev1.ServiceAccountTokenKey]) == 0 {
			continue
		}
		account, err := apicall.Get(ctx, "sacontroller", c.reader.GetServiceAccount, s.Namespace, name)
		if err != nil {
			return nil, err
		}
		if !tokensecret.BelongsTo(s, account) {
			continue
		}
		problem, err := c.checkToken(ctx, account, s)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			invalid = append(invalid, InvalidToken{Namespace: s.Namespace, Name: s.Name, ServiceAccountName: name, Problem: problem})
		}
	}
	slices.SortFunc(invalid, func(a, b InvalidToken) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return invalid, nil
}

func (c *Tokens) checkToken(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (problem string, err error) {
	problem, err = c.check(ctx, account, secret)
	if err != nil {
		return "", fmt.Errorf("sacontroller: checking the token of Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return problem, nil
}
