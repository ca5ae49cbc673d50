package tokens

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// checkTimes checks the times of c, in the order of TOK-65. Each bound is
// inclusive.
func checkTimes(c *claims, now time.Time, leeway time.Duration) *InvalidError {
	latest, earliest := now.Add(leeway), now.Add(-leeway)
	switch {
	case c.notBefore != noTime && time.Unix(c.notBefore, 0).After(latest):
		return &InvalidError{Reason: ReasonNotYetValid}
	case time.Unix(c.expiry, 0).Before(earliest):
		return &InvalidError{Reason: ReasonExpired}
	case c.issuedAt != noTime && time.Unix(c.issuedAt, 0).After(latest):
		return &InvalidError{Reason: ReasonIssuedInFuture}
	}
	return nil
}

// checkIdentity checks an object that a bound token depends on: it must be the
// one of ref, and not deleted longer ago than [DeletionGracePeriod] (CST-15)
// (TOK-69..78).
func checkIdentity(kind string, ref ObjectRef, object metav1.Object, now time.Time) *InvalidError {
	if object.GetUID() != ref.UID {
		return &InvalidError{ReasonRecreated, kind}
	}
	if deleted := object.GetDeletionTimestamp(); deleted != nil && deleted.Time.Before(now.Add(-DeletionGracePeriod)) {
		return &InvalidError{ReasonDeleted, kind}
	}
	return nil
}

// checkBound checks the times and the objects of a bound token (TOK-65,
// TOK-68..78).
func (a *attempt) checkBound(ctx context.Context, c *claims) error {
	if err := checkTimes(c, a.now, a.cfg.Leeway); err != nil {
		a.detailf("nbf %d, exp %d, iat %d, now %d, leeway %v", c.notBefore, c.expiry, c.issuedAt, a.now.Unix(), a.cfg.Leeway)
		return err
	}
	if a.cfg.InsecureSkipLookups {
		return nil
	}
	account, err := a.cfg.ServiceAccounts.GetServiceAccount(ctx, c.namespace, c.account.Name)
	if err := requireObject(a, objects.ServiceAccount, c.account, account, err); err != nil {
		return err
	}
	switch {
	case c.secret.Name != "":
		return a.checkSecret(ctx, c)
	case c.pod.Name != "":
		return a.checkPod(ctx, c)
	case c.node.Name != "":
		return a.checkNode(ctx, c)
	case c.validating.Name != "", c.mutating.Name != "":
		return a.checkWebhook(ctx, c)
	case c.object.Name != "":
		return a.checkObject(ctx, c)
	}
	return nil
}

func (a *attempt) checkSecret(ctx context.Context, c *claims) error {
	if a.cfg.Secrets == nil {
		return &InvalidError{ReasonUnsupported, objects.Secret}
	}
	secret, err := a.cfg.Secrets.GetSecret(ctx, c.namespace, c.secret.Name)
	return requireObject(a, objects.Secret, c.secret, secret, err)
}

func (a *attempt) checkPod(ctx context.Context, c *claims) error {
	if a.cfg.Pods == nil {
		return &InvalidError{ReasonUnsupported, objects.Pod}
	}
	pod, err := a.cfg.Pods.GetPod(ctx, c.namespace, c.pod.Name)
	return requireObject(a, objects.Pod, c.pod, pod, err)
}

func (a *attempt) checkNode(ctx context.Context, c *claims) error {
	if a.cfg.Nodes == nil {
		return &InvalidError{ReasonUnsupported, objects.Node}
	}
	node, err := a.cfg.Nodes.GetNode(ctx, c.node.Name)
	return requireObject(a, objects.Node, c.node, node, err)
}

func (a *attempt) checkWebhook(ctx context.Context, c *claims) error {
	kind := objects.ValidatingWebhook
	if c.mutating.Name != "" {
		kind = objects.MutatingWebhook
	}
	switch {
	case a.cfg.Webhooks == nil:
		return &InvalidError{ReasonUnsupported, kind}
	case len(c.attestations[AttestedAPIGroups]) == 0:
		return missing(claimAttestation)
	case kind == objects.MutatingWebhook:
		webhook, err := a.cfg.Webhooks.GetMutatingWebhookConfiguration(ctx, c.mutating.Name)
		return requireObject(a, kind, c.mutating, webhook, err)
	}
	webhook, err := a.cfg.Webhooks.GetValidatingWebhookConfiguration(ctx, c.validating.Name)
	return requireObject(a, kind, c.validating, webhook, err)
}

// requireObject returns an error unless a getter has returned the object of ref.
func requireObject[T any, P interface {
	*T
	metav1.Object
}](a *attempt, kind string, ref ObjectRef, object P, err error) error {
	if err := requireFound(a, kind, object, err); err != nil {
		return err
	}
	return a.requireIdentity(kind, ref, object)
}

// requireIdentity is checkIdentity with details.
func (a *attempt) requireIdentity(kind string, ref ObjectRef, object metav1.Object) error {
	if err := checkIdentity(kind, ref, object, a.now); err != nil {
		a.detailf("%s %s/%s has UID %s, deletion timestamp %v; the token says UID %s; now %v", kind,
			object.GetNamespace(), object.GetName(), object.GetUID(), object.GetDeletionTimestamp(), ref.UID, a.now)
		return err
	}
	return nil
}

// requireFound returns an error unless a getter has returned an object.
func requireFound[T any](a *attempt, kind string, object *T, err error) error {
	switch {
	case err != nil && apierrors.IsNotFound(err):
		a.detailf("%v", err)
		return &InvalidError{ReasonNotFound, kind}
	case err != nil:
		return &UnavailableError{kind, err}
	case object == nil:
		return &UnavailableError{kind, objects.ErrNothing}
	}
	return nil
}
