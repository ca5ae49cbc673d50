package tokenrequest

import (
	"context"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// bind looks up the object that tr binds its token to and puts it into req
// (REQ-30..38).
func (r *Requester) bind(ctx context.Context, tr *authenticationv1.TokenRequest, req *tokenissuer.Request, now time.Time) error {
	ref := tr.Spec.BoundObjectRef
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	core := ref.APIVersion == "" || ref.APIVersion == "v1"
	var object metav1.Object
	var err error
	switch {
	case core && ref.Kind == objects.Pod && r.cfg.Pods != nil:
		object, err = r.bindPod(ctx, tr.Namespace, ref.Name, req)
	case core && ref.Kind == objects.Node && r.cfg.Nodes != nil:
		req.Node, err = node(ctx, r.cfg.Nodes, ref.Name)
		object = req.Node
	case core && ref.Kind == objects.Secret && r.cfg.Secrets != nil:
		if err = checkName("secrets", ref.Name); err == nil {
			req.Secret, err = read(r.cfg.Secrets.GetSecret(ctx, tr.Namespace, ref.Name))
		}
		object = req.Secret
	case gvk.Group == admissionregistrationv1.GroupName && (ref.Kind == objects.ValidatingWebhook || ref.Kind == objects.MutatingWebhook) && r.cfg.Webhooks == nil:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s (feature gate APIServerWebhookAuthenticationToken is disabled)", gvk))
	case isWebhookRef(ref):
		object, err = r.bindWebhook(ctx, tr, req, now)
	default:
		object, err = r.bindObject(ctx, tr, gvk, req)
	}
	if err != nil {
		return err
	}
	if ref.UID != "" && ref.UID != object.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return nil
}

// bindObject binds to an object of a further kind.
func (r *Requester) bindObject(ctx context.Context, tr *authenticationv1.TokenRequest, kind schema.GroupVersionKind, req *tokenissuer.Request) (metav1.Object, error) {
	unsupported := apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", kind))
	if r.cfg.Objects == nil || !objects.ValidKind(kind) || objects.IsBuiltIn(kind) {
		return nil, unsupported
	}
	ref := tr.Spec.BoundObjectRef
	if !objects.ValidSegment(ref.Name) {
		return nil, badName(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, ref.Name)
	}
	object, err := r.cfg.Objects.GetObject(ctx, kind, tr.Namespace, ref.Name)
	switch {
	case errors.Is(err, tokens.ErrUnsupportedKind):
		return nil, unsupported
	case err != nil:
		return nil, err
	}
	if object, err = objects.RequireIn(tr.Namespace, object, nil); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	req.Object = tokens.BoundObject{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: object.GetName(), UID: object.GetUID()}
	return object, nil
}

// read turns a getter's nil without an error into an error.
func read[T any](object *T, err error) (*T, error) {
	if object, err = contract.Require(object, err); errors.Is(err, contract.ErrNothing) {
		return nil, apierrors.NewInternalError(err)
	}
	return object, err
}

// checkName returns an error unless an object of resource can have this name,
// which may come from the client: no other name may reach a getter.
func checkName(resource, name string) error {
	if names.Valid(name) {
		return nil
	}
	return badName(schema.GroupResource{Resource: resource}, name)
}

// badName is what kube-apiserver answers if it is asked for a name that no object
// can have.
func badName(resource schema.GroupResource, name string) error {
	if name == "" {
		return apierrors.NewBadRequest("Name parameter required.")
	}
	if problem := objects.SegmentProblem(name); problem != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("Name parameter invalid: %q: %s", name, problem))
	}
	return apierrors.NewNotFound(resource, name)
}

func node(ctx context.Context, nodes tokens.NodeGetter, name string) (*corev1.Node, error) {
	if err := checkName("nodes", name); err != nil {
		return nil, err
	}
	return read(nodes.GetNode(ctx, name))
}

// bindPod binds to a pod of the account, and notes the node that it runs on
// (REQ-30..33).
func (r *Requester) bindPod(ctx context.Context, namespace, name string, req *tokenissuer.Request) (metav1.Object, error) {
	if err := checkName("pods", name); err != nil {
		return nil, err
	}
	pod, err := read(r.cfg.Pods.GetPod(ctx, namespace, name))
	if err != nil {
		return nil, err
	}
	if account := req.ServiceAccount.Name; pod.Spec.ServiceAccountName != account {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account))
	}
	req.Pod = pod
	if pod.Spec.NodeName == "" {
		return pod, nil
	}
	req.Node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.NodeName}}
	if r.cfg.PodNodes == nil || !names.Valid(pod.Spec.NodeName) { // Issue refuses the latter
		return pod, nil
	}
	found, err := node(ctx, r.cfg.PodNodes, pod.Spec.NodeName)
	switch {
	case err == nil:
		req.Node = found
	case !apierrors.IsNotFound(err):
		return nil, apierrors.NewInternalError(err)
	}
	return pod, nil
}

// bindWebhook binds to a webhook configuration that has a webhook with the
// audience as its address and the attested API group in its rules (REQ-41..48).
func (r *Requester) bindWebhook(ctx context.Context, tr *authenticationv1.TokenRequest, req *tokenissuer.Request, now time.Time) (metav1.Object, error) {
	audience, group := tr.Spec.Audiences[0], tr.Spec.Attestations[tokens.AttestedAPIGroups][0]
	for _, a := range r.cfg.APIAudiences {
		if a == audience {
			return nil, apierrors.NewBadRequest("api server audiences are invalid for webhook token requests")
		}
	}
	seconds := min(*tr.Spec.ExpirationSeconds, int64(tokenissuer.MinLifetime/time.Second))
	tr.Spec.ExpirationSeconds = &seconds
	if err := r.attest(ctx, req.ServiceAccount, group); err != nil {
		return nil, err
	}
	req.Attestations = map[string][]string{tokens.AttestedAPIGroups: {group}}
	webhook, targets, err := r.webhook(ctx, tr.Spec.BoundObjectRef)
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, req.ServiceAccount.Name, errors.New("token request denied"))
	switch {
	case apierrors.IsNotFound(err):
		return nil, denied
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	case webhook.GetDeletionTimestamp() != nil && webhook.GetDeletionTimestamp().Time.Before(now):
		return nil, denied
	}
	if tr.Spec.BoundObjectRef.Kind == objects.MutatingWebhook {
		req.MutatingWebhook = webhook
	} else {
		req.ValidatingWebhook = webhook
	}
	if group == anyAPIGroup {
		return webhook, nil
	}
	for _, target := range targets {
		if address := target.address(); address != "" && address == audience && target.hasGroup(group) {
			return webhook, nil
		}
	}
	return nil, denied
}

// attest asks whether the account may vouch for the group (REQ-43).
func (r *Requester) attest(ctx context.Context, account *corev1.ServiceAccount, group string) error {
	id := tokens.Identity{Namespace: account.Namespace, Name: account.Name, UID: account.UID}
	allowed, reason, err := r.cfg.Attest(ctx, id.UserInfo(), group)
	switch {
	case err != nil:
		return apierrors.NewInternalError(err)
	case allowed:
		return nil
	}
	text := fmt.Sprintf("User %q cannot attest resource %q in API group %q at the cluster scope", id.Username(), tokens.AttestedAPIGroups, authenticationv1.GroupName)
	if reason != "" {
		text += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: authenticationv1.GroupName, Resource: tokens.AttestedAPIGroups}, group, errors.New(text))
}

// A webhookTarget is what counts of one webhook of a configuration.
type webhookTarget struct {
	client admissionregistrationv1.WebhookClientConfig
	rules  []admissionregistrationv1.RuleWithOperations
}

// webhook looks the configuration up that ref names.
func (r *Requester) webhook(ctx context.Context, ref *authenticationv1.BoundObjectReference) (metav1.Object, []webhookTarget, error) {
	if !names.Valid(ref.Name) {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{}, ref.Name)
	}
	var targets []webhookTarget
	if ref.Kind == objects.MutatingWebhook {
		object, err := read(r.cfg.Webhooks.GetMutatingWebhookConfiguration(ctx, ref.Name))
		if err != nil {
			return nil, nil, err
		}
		for i := range object.Webhooks {
			targets = append(targets, webhookTarget{object.Webhooks[i].ClientConfig, object.Webhooks[i].Rules})
		}
		return object, targets, nil
	}
	object, err := read(r.cfg.Webhooks.GetValidatingWebhookConfiguration(ctx, ref.Name))
	if err != nil {
		return nil, nil, err
	}
	for i := range object.Webhooks {
		targets = append(targets, webhookTarget{object.Webhooks[i].ClientConfig, object.Webhooks[i].Rules})
	}
	return object, targets, nil
}

// hasGroup reports whether the webhook is asked about objects of group
// (REQ-46).
func (t webhookTarget) hasGroup(group string) bool {
	for _, rule := range t.rules {
		for _, g := range rule.APIGroups {
			if g == group || g == anyAPIGroup {
				return true
			}
		}
	}
	return false
}

// address returns the URL under which the webhook is called, empty if it has
// none (REQ-47).
func (t webhookTarget) address() string {
	if t.client.URL != nil {
		return *t.client.URL
	}
	service := t.client.Service
	if service == nil {
		return ""
	}
	port, path := int32(443), "/"
	if service.Port != nil {
		port = *service.Port
	}
	if service.Path != nil && *service.Path != "" {
		path = *service.Path
		if path[0] != '/' {
			path = "/" + path
		}
	}
	return fmt.Sprintf("https://%s.%s.svc:%d%s", service.Name, service.Namespace, port, path)
}
