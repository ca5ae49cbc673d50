package tokens

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// checkTimes checks the times of c, in the order of TOK-65. Each bound is
// inclusive. NoTime is long ago.
func checkTimes(c *payload.Claims, now time.Time, leeway time.Duration) *InvalidError {
	latest, earliest := now.Add(leeway), now.Add(-leeway)
	switch {
	case time.Unix(c.NotBefore, 0).After(latest):
		return &InvalidError{Reason: ReasonNotYetValid}
	case time.Unix(c.Expiry, 0).Before(earliest):
		return &InvalidError{Reason: ReasonExpired}
	case time.Unix(c.IssuedAt, 0).After(latest):
		return &InvalidError{Reason: ReasonIssuedInFuture}
	}
	return nil
}

// checkIdentity checks an object that a bound token depends on: it must be the
// one with uid, and not deleted longer ago than [DeletionGracePeriod] (CST-15)
// (TOK-69..78).
func checkIdentity(kind string, uid types.UID, object metav1.Object, now time.Time) *InvalidError {
	if object.GetUID() != uid {
		return &InvalidError{ReasonRecreated, kind}
	}
	if deleted := object.GetDeletionTimestamp(); deleted != nil && deleted.Time.Before(now.Add(-DeletionGracePeriod)) {
		return &InvalidError{ReasonDeleted, kind}
	}
	return nil
}

// checkBound checks the times and the objects of a bound token (TOK-65,
// TOK-68..78).
func (a *attempt) checkBound(ctx context.Context, c *payload.Claims) error {
	if err := checkTimes(c, a.now, a.cfg.Leeway); err != nil {
		a.detailf("nbf %d, exp %d, iat %d, now %d, leeway %v", c.NotBefore, c.Expiry, c.IssuedAt, a.now.Unix(), a.cfg.Leeway)
		return err
	}
	if a.cfg.Lookups == LookupNothing {
		return nil
	}
	account, err := a.cfg.ServiceAccounts.GetServiceAccount(ctx, c.Namespace, c.Account.Name)
	if err := requireObject(a, objects.ServiceAccount, c.Account, account, err); err != nil {
		return err
	}
	switch {
	case a.cfg.Lookups == LookupAccounts:
	case c.Secret.Name != "":
		return a.checkSecret(ctx, c)
	case c.Pod.Name != "":
		return a.checkPod(ctx, c)
	case c.Node.Name != "":
		return a.checkNode(ctx, c)
	case c.Validating.Name != "", c.Mutating.Name != "":
		return a.checkWebhook(ctx, c)
	case c.Object.Name != "":
		return a.checkObject(ctx, c)
	}
	return nil
}

func (a *attempt) checkSecret(ctx context.Context, c *payload.Claims) error {
	if a.cfg.Secrets == nil {
		return &InvalidError{ReasonUnsupported, objects.Secret}
	}
	secret, err := a.cfg.Secrets.GetSecret(ctx, c.Namespace, c.Secret.Name)
	return requireObject(a, objects.Secret, c.Secret, secret, err)
}

func (a *attempt) checkPod(ctx context.Context, c *payload.Claims) error {
	if a.cfg.Pods == nil {
		return &InvalidError{ReasonUnsupported, objects.Pod}
	}
	pod, err := a.cfg.Pods.GetPod(ctx, c.Namespace, c.Pod.Name)
	return requireObject(a, objects.Pod, c.Pod, pod, err)
}

func (a *attempt) checkNode(ctx context.Context, c *payload.Claims) error {
	if a.cfg.Nodes == nil {
		return &InvalidError{ReasonUnsupported, objects.Node}
	}
	node, err := a.cfg.Nodes.GetNode(ctx, c.Node.Name)
	return requireObject(a, objects.Node, c.Node, node, err)
}

func (a *attempt) checkWebhook(ctx context.Context, c *payload.Claims) error {
	kind := objects.ValidatingWebhook
	if c.Mutating.Name != "" {
		kind = objects.MutatingWebhook
	}
	switch {
	case a.cfg.Webhooks == nil:
		return &InvalidError{ReasonUnsupported, kind}
	case len(c.Attestations[AttestedAPIGroups]) == 0:
		return &InvalidError{ReasonMissingClaim, payload.ClaimAttestation}
	case kind == objects.MutatingWebhook:
		webhook, err := a.cfg.Webhooks.GetMutatingWebhookConfiguration(ctx, c.Mutating.Name)
		return requireObject(a, kind, c.Mutating, webhook, err)
	}
	webhook, err := a.cfg.Webhooks.GetValidatingWebhookConfiguration(ctx, c.Validating.Name)
	return requireObject(a, kind, c.Validating, webhook, err)
}

// requireObject returns an error unless a getter has returned the object of ref.
func requireObject[T any, P interface {
	*T
	metav1.Object
}](a *attempt, kind string, ref payload.Ref, object P, err error) error {
	if err := requireFound(a, kind, object, err); err != nil {
		return err
	}
	return a.requireIdentity(kind, ref.UID, object)
}

// requireIdentity is checkIdentity with details.
func (a *attempt) requireIdentity(kind string, uid types.UID, object metav1.Object) error {
	if err := checkIdentity(kind, uid, object, a.now); err != nil {
		a.detailf("%s %s/%s has UID %s, deletion timestamp %v; the token says UID %s; now %v", kind,
			object.GetNamespace(), object.GetName(), object.GetUID(), object.GetDeletionTimestamp(), uid, a.now)
		return err
	}
	return nil
}

// requireFound returns an error unless a getter has returned an object.
func requireFound[T any](a *attempt, kind string, object *T, err error) error {
	_, err = contract.Require(object, err)
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		a.detailf("%v", err)
		return &InvalidError{ReasonNotFound, kind}
	}
	return &UnavailableError{kind, err}
}
