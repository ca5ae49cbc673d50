package sacontroller

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	corev1 "k8s.io/api/core/v1"
)

// maxCalls is how many calls of the Reader and the Client one attempt of [Tokens]
// makes at most, whatever an object lists.
const maxCalls = 32

// errYield ends an attempt that has no calls left. What it found is remembered.
var errYield = errors.New("sacontroller: more calls are needed than one attempt makes")

func isYield(err error) bool { return errors.Is(err, errYield) }

// An attempt is one Reconcile of [Tokens]. Every call is made through its methods,
// which count it.
type attempt struct {
	*Tokens
	*tokensMemory
	calls int                    // left
	live  *corev1.ServiceAccount // if sameAccount has read it
}

// counted makes a call, unless none is left.
func counted[T any](a *attempt, call func() (T, error)) (T, error) {
	if a.calls == 0 {
		return *new(T), errYield
	}
	a.calls--
	return call()
}

// get is [apicall.Get], counted. A name that no object can have needs no call.
func get[T any](ctx context.Context, a *attempt, from func(ctx context.Context, namespace, name string) (*T, error), namespace, name string) (*T, error) {
	if !names.Valid(name) {
		return nil, nil
	}
	return counted(a, func() (*T, error) { return apicall.Get(ctx, "sacontroller", from, namespace, name) })
}

func (a *attempt) cachedAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(ctx, a, a.reader.GetServiceAccount, namespace, name)
}

func (a *attempt) cachedSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(ctx, a, a.reader.GetSecret, namespace, name)
}

func (a *attempt) liveAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(ctx, a, a.client.GetServiceAccount, namespace, name)
}

func (a *attempt) liveSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(ctx, a, a.client.GetSecret, namespace, name)
}

// tokenSecrets returns the token Secrets that the Reader has for an account.
func (a *attempt) tokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	secrets, err := counted(a, func() ([]*corev1.Secret, error) {
		return apicall.RequireAll(a.reader.TokenSecrets(ctx, namespace, account))
	})
	if err != nil {
		return nil, fmt.Errorf("sacontroller: listing the token Secrets of ServiceAccount %s/%s: %w", namespace, account, err)
	}
	return secrets, nil
}

func (a *attempt) updateAccount(ctx context.Context, account *corev1.ServiceAccount) error {
	_, err := counted(a, func() (*corev1.ServiceAccount, error) {
		return contract.Require(a.client.UpdateServiceAccount(ctx, account))
	})
	return err
}

// frozen reports whether namespace is being deleted as far as the Reader knows.
// Whatever a controller could do there, the deletion of the Namespace undoes.
func (a *attempt) frozen(ctx context.Context, namespace string) (bool, error) {
	ns, err := counted(a, func() (*corev1.Namespace, error) {
		return apicall.Namespace(ctx, "sacontroller", a.reader.GetNamespace, namespace)
	})
	return ns != nil && apicall.Terminating(ns), err
}

// issue signs the token for secret.
func (a *attempt) issue(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	token, err := a.issuer.IssueLegacy(ctx, account, secret)
	if err == nil && token == "" {
		err = errors.New("the issuer returned no token")
	}
	if err != nil {
		return "", fmt.Errorf("sacontroller: signing the token of Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return token, nil
}
