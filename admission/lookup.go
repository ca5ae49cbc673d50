package admission

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// maxTries is how often the default account is asked for before it counts as
// missing (ADM-17).
const maxTries = 10

// maxSecretReads is how many Secrets are looked up for one pod.
const maxSecretReads = 32

// findAccount returns the account called name. It asks the cache, then, after a
// NotFound, the live getter: once, or up to maxTries times for the default account,
// which a controller is about to create in a new namespace. The error of an account
// that does not exist is a NotFound error.
//
// A name that no account can have, or a namespace that can't be, is not looked up.
func (p *Plugin) findAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if !names.ValidNamespace(namespace) || !names.Valid(name) {
		return nil, noAccount(name)
	}
	account, err := getAccount(ctx, p.rules.ServiceAccounts, namespace, name)
	if err == nil || !apierrors.IsNotFound(err) { // which allocates
		return account, err
	}
	return p.findLive(ctx, namespace, name)
}

// findLive is the second part of findAccount.
func (p *Plugin) findLive(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	tries, live := maxTries, p.rules.Live
	if name != p.rules.DefaultAccount || p.rules.DisableWait {
		tries = 1
	}
	if live == nil {
		live = p.rules.ServiceAccounts
		tries-- // the first try is made
	}
	var waitCtx context.Context
	for try := range tries {
		if try > 0 || p.rules.Live == nil {
			if waitCtx == nil {
				c, cancel := context.WithTimeout(ctx, p.rules.WaitTimeout)
				defer cancel()
				waitCtx = c
			}
			if p.rules.Wait(waitCtx, namespace, name) != nil {
				break
			}
		}
		account, err := getAccount(ctx, live, namespace, name)
		if !apierrors.IsNotFound(err) {
			return account, err
		}
	}
	return nil, noAccount(name)
}

// noAccount says that there is no account called name, with the singular of ADM-19.
func noAccount(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, names.Shorten(name))
}

func getAccount(ctx context.Context, from ServiceAccountGetter, namespace, name string) (*corev1.ServiceAccount, error) {
	account, err := from.GetServiceAccount(ctx, namespace, name)
	return contract.Require(account, err)
}

// poll waits a little: 100 to 200 ms, as Kubernetes does.
func poll(ctx context.Context, _, _ string) error {
	timer := time.NewTimer(100*time.Millisecond + rand.N(100*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// findToken returns the name of the token Secret to mount: the first that account
// lists and that is a token of it. It is empty if there is none, or if none is
// needed. At most maxSecretReads Secrets are read, whatever the account lists; what
// can't be the name of a Secret is not.
func (p *Plugin) findToken(ctx context.Context, req *Request, account *corev1.ServiceAccount) (string, error) {
	if p.rules.TokenVolume != SecretBacked || p.rules.automount(&req.Pod.Spec, account) != automountOn {
		return "", nil
	}
	asked := make([]string, 0, maxSecretReads)
	for _, ref := range account.Secrets {
		if !names.Valid(ref.Name) || slices.Contains(asked, ref.Name) {
			continue
		}
		if len(asked) == maxSecretReads {
			if p.rules.AllowMissingToken {
				return "", nil
			}
			return "", denyManySecrets(req, account)
		}
		asked = append(asked, ref.Name)
		secret, err := contract.Require(p.rules.Secrets.GetSecret(ctx, req.namespace(), ref.Name))
		if err != nil && !apierrors.IsNotFound(err) {
			return "", denyTokenLookup(req, account, err)
		}
		if IsTokenOf(secret, account) {
			return secret.Name, nil
		}
	}
	return "", nil
}

// IsTokenOf reports whether secret is a token Secret of account, which may be
// mounted in its pods: of its namespace and the right type, annotated with the
// account's name, and with its UID or none. Whether the token has been filled in
// does not matter.
func IsTokenOf(secret *corev1.Secret, account *corev1.ServiceAccount) bool {
	return tokensecret.BelongsTo(secret, account)
}
