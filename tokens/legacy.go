package tokens

import (
	"context"
	"crypto/subtle"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// checkLegacy checks the objects of a Secret-based token (TOK-53..62). Unlike
// bound tokens it ends with any deletion timestamp.
func (a *attempt) checkLegacy(ctx context.Context, c *payload.Claims, token string) error {
	if a.cfg.Lookups == LookupNothing {
		return nil
	}
	secret, err := a.cfg.Secrets.GetSecret(ctx, c.Namespace, c.Secret.Name)
	if err := requireFound(a, objects.Secret, secret, err); err != nil {
		return err
	}
	if err := checkLegacySecret(secret, token); err != nil {
		a.detailf("Secret %s/%s, type %q, deletion timestamp %v, label %q", secret.Namespace, secret.Name,
			secret.Type, secret.DeletionTimestamp, secret.Labels[InvalidSinceLabel])
		return err
	}
	account, err := a.cfg.ServiceAccounts.GetServiceAccount(ctx, c.Namespace, c.Account.Name)
	if err := requireFound(a, objects.ServiceAccount, account, err); err != nil {
		return err
	}
	if err := checkLegacyAccount(account, c); err != nil {
		a.detailf("ServiceAccount %s/%s has UID %s, deletion timestamp %v; the token says UID %s", account.Namespace, account.Name,
			account.UID, account.DeletionTimestamp, c.Account.UID)
		return err
	}
	use := &LegacyUse{
		Namespace:     c.Namespace,
		Secret:        c.Secret.Name,
		SecretUID:     secret.UID,
		LastUsed:      secret.Labels[LastUsedLabel],
		Generated:     tokensecret.Listed(account, c.Secret.Name),
		MarkedInvalid: secret.Labels[InvalidSinceLabel] != "",
	}
	a.legacy = use
	if use.MarkedInvalid {
		a.detailf("Secret %s/%s has the label %s=%q", secret.Namespace, secret.Name, InvalidSinceLabel, secret.Labels[InvalidSinceLabel])
		return &InvalidError{ReasonMarkedInvalid, objects.Secret}
	}
	return nil
}

// checkLegacySecret checks that secret still holds token (TOK-55, TOK-56), and
// that it is a token Secret, as Kubernetes does not.
func checkLegacySecret(secret *corev1.Secret, token string) *InvalidError {
	switch {
	case secret.DeletionTimestamp != nil:
		return &InvalidError{ReasonDeleted, objects.Secret}
	case !tokensecret.Is(secret):
		return &InvalidError{ReasonSecretType, objects.Secret}
	case subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(token)) != 1:
		return &InvalidError{ReasonReplaced, objects.Secret}
	}
	return nil
}

// checkLegacyAccount checks the account of a legacy token (TOK-58).
func checkLegacyAccount(account *corev1.ServiceAccount, c *payload.Claims) *InvalidError {
	switch {
	case account.DeletionTimestamp != nil:
		return &InvalidError{ReasonDeleted, objects.ServiceAccount}
	case account.UID != c.Account.UID:
		return &InvalidError{ReasonRecreated, objects.ServiceAccount}
	}
	return nil
}
