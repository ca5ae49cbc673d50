package tokens

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// checkTimes judges the times of c, in the order of TOK-65. Each bound is
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

// checkObject judges an object that a bound token depends on: it must be the
// one that ref means, and not have been deleted longer ago than [Grace]
// (TOK-69..78).
func checkObject(kind string, ref ObjectRef, object metav1.Object, now time.Time) *InvalidError {
	if object.GetUID() != ref.UID {
		return &InvalidError{ReasonRecreated, kind}
	}
	if deleted := object.GetDeletionTimestamp(); deleted != nil && deleted.Time.Before(now.Add(-Grace)) {
		return &InvalidError{ReasonDeleted, kind}
	}
	return nil
}

// judgeBound judges a token with an expiry, whose audiences are good (TOK-65,
// TOK-68..78).
func (j *judgement) judgeBound(ctx context.Context) error {
	c := j.claims
	if err := checkTimes(c, j.now, j.cfg.Leeway); err != nil {
		j.note("nbf %d, exp %d, iat %d, now %d, leeway %v", c.notBefore, c.expiry, c.issuedAt, j.now.Unix(), j.cfg.Leeway)
		return err
	}
	if j.cfg.InsecureSkipLookups {
		return nil
	}
	account, err := j.cfg.ServiceAccounts.GetServiceAccount(ctx, c.namespace, c.account.Name)
	if err := found(j, objects.ServiceAccount, c.account, account, err); err != nil {
		return err
	}
	switch {
	case c.secret.Name != "":
		return j.judgeSecret(ctx)
	case c.pod.Name != "":
		return j.judgePod(ctx)
	case c.node.Name != "":
		return j.judgeNode(ctx)
	case c.validating.Name != "", c.mutating.Name != "":
		return j.judgeWebhook(ctx)
	case c.object.Name != "":
		return j.judgeObject(ctx)
	}
	return nil
}

func (j *judgement) judgeSecret(ctx context.Context) error {
	if j.cfg.Secrets == nil {
		return &InvalidError{ReasonUnsupported, objects.Secret}
	}
	secret, err := j.cfg.Secrets.GetSecret(ctx, j.claims.namespace, j.claims.secret.Name)
	return found(j, objects.Secret, j.claims.secret, secret, err)
}

func (j *judgement) judgePod(ctx context.Context) error {
	if j.cfg.Pods == nil {
		return &InvalidError{ReasonUnsupported, objects.Pod}
	}
	pod, err := j.cfg.Pods.GetPod(ctx, j.claims.namespace, j.claims.pod.Name)
	return found(j, objects.Pod, j.claims.pod, pod, err)
}

func (j *judgement) judgeNode(ctx context.Context) error {
	if j.cfg.Nodes == nil {
		return &InvalidError{ReasonUnsupported, objects.Node}
	}
	node, err := j.cfg.Nodes.GetNode(ctx, j.claims.node.Name)
	return found(j, objects.Node, j.claims.node, node, err)
}

func (j *judgement) judgeWebhook(ctx context.Context) error {
	c, kind := j.claims, objects.ValidatingWebhook
	if c.mutating.Name != "" {
		kind = objects.MutatingWebhook
	}
	switch {
	case j.cfg.Webhooks == nil:
		return &InvalidError{ReasonUnsupported, kind}
	case len(c.attestations[AttestedAPIGroups]) == 0:
		return missing(claimAttestation)
	case kind == objects.MutatingWebhook:
		webhook, err := j.cfg.Webhooks.GetMutatingWebhookConfiguration(ctx, c.mutating.Name)
		return found(j, kind, c.mutating, webhook, err)
	}
	webhook, err := j.cfg.Webhooks.GetValidatingWebhookConfiguration(ctx, c.validating.Name)
	return found(j, kind, c.validating, webhook, err)
}

// found judges what a getter has returned for ref, which is neither a typed nor
// an untyped nil if the token holds.
func found[T any, P interface {
	*T
	metav1.Object
}](j *judgement, kind string, ref ObjectRef, object P, err error) error {
	if err := lookedUp(j, kind, object, err); err != nil {
		return err
	}
	return j.checked(kind, ref, object)
}

// checked judges an object that was found.
func (j *judgement) checked(kind string, ref ObjectRef, object metav1.Object) error {
	if err := checkObject(kind, ref, object, j.now); err != nil {
		j.note("%s %s/%s has UID %s, deletion timestamp %v; the token says UID %s; now %v", kind,
			object.GetNamespace(), object.GetName(), object.GetUID(), object.GetDeletionTimestamp(), ref.UID, j.now)
		return err
	}
	return nil
}

// lookedUp judges whether a getter has returned an object at all.
func lookedUp[T any](j *judgement, kind string, object *T, err error) error {
	switch {
	case err != nil && apierrors.IsNotFound(err):
		j.note("%v", err)
		return &InvalidError{ReasonNotFound, kind}
	case err != nil:
		return &UnavailableError{kind, err}
	case object == nil:
		return &UnavailableError{kind, objects.ErrNothing}
	}
	return nil
}
