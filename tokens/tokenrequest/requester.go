package tokenrequest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Lifetimes of the tokens that kubelets request for pods (CST-13).
const (
	injectedLifetime = 3607 * time.Second
	extendedLifetime = 365 * 24 * time.Hour
)

// Keys of audit annotations.
const (
	auditCredentialID = "authentication.kubernetes.io/issued-credential-id"
	auditUIDMismatch  = "authentication.k8s.io/token-request-uid-mismatch"
)

// Config configures [New].
type Config struct {
	Issuer *tokenissuer.Issuer // required; its clock is used

	// APIAudiences are required: the default of requests without audiences.
	APIAudiences []string

	// ServiceAccounts is required. Each other getter allows tokens bound to
	// objects of its kind. They should read live, so that they find what has
	// just been created. Their errors are returned as they are.
	ServiceAccounts tokens.ServiceAccountGetter
	Secrets         tokens.SecretGetter
	Pods            tokens.PodGetter
	Nodes           tokens.NodeGetter
	Objects         tokens.ObjectGetter

	// PodNodes looks up the node that a pod runs on, whose UID tokens bound to the pod
	// carry for information: it may read from a cache. If nil, Nodes is used. It
	// requires Nodes.
	PodNodes tokens.NodeGetter

	// Webhooks and Attest, both or neither, allow tokens bound to webhook
	// configurations, an alpha feature of Kubernetes 1.37. Attest says whether
	// user may attest that a token is for admission reviews of the API group,
	// "*" for all.
	Webhooks tokens.WebhookGetter
	Attest   func(ctx context.Context, user authenticationv1.UserInfo, apiGroup string) (allowed bool, reason string, err error)

	// Admit, if set, may deny a request before anything is looked up: it gets a copy
	// as it was sent, without defaults, and the namespace and the name of the
	// account. [NewNodeRule] returns one. Errors are returned as those of Authorize.
	Admit func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) error

	// Authorize, if set, may deny a request after it was validated and before any
	// bound object is read: it gets a copy with all defaults. An error of
	// k8s.io/apimachinery is returned as it is, any other as Forbidden.
	Authorize func(ctx context.Context, account *corev1.ServiceAccount, request *authenticationv1.TokenRequest) error

	// MaxLifetime shortens longer lifetimes, with a warning: 0 for none, or from
	// 10 minutes, as the maximum of an external signer, to 2³² seconds. The
	// MaxLifetime of the Issuer applies too.
	MaxLifetime time.Duration

	// ExtendedLifetime is the lifetime of tokens that kubelets mount into pods,
	// which ask for 3607 seconds: clients that don't reread their token keep
	// working, and [tokens.Event.Stale] tells which they are. MaxLifetime doesn't
	// apply to it. Zero means 365 days.
	ExtendedLifetime time.Duration
	DisableExtension bool

	// IgnoreUID issues a token although the request has the UID of another
	// account, with a warning, as Kubernetes did before 1.34.
	IgnoreUID bool

	// Observe, if set, is called once per request, before Create returns, with
	// the context of the request: an API server sends the warnings with the
	// response and adds the annotations to the request's audit event. It must be
	// safe for concurrent use.
	Observe func(ctx context.Context, e Event)
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// A Requester answers TokenRequests as kube-apiserver does. It is safe for
// concurrent use if its Issuer and getters are. It doesn't authorize the caller,
// except through [Config.Authorize].
type Requester struct {
	cfg Config
}

// New returns a Requester, or an error naming every invalid field, each as a
// [*ConfigError].
func New(cfg Config) (*Requester, error) {
	mistakes := configerror.List{Config: "tokenrequest.Config"}
	mistakes.Require("Issuer", cfg.Issuer, "an Issuer")
	if len(cfg.APIAudiences) == 0 || slices.Contains(cfg.APIAudiences, "") {
		mistakes.Add("APIAudiences", "is %q, want at least one audience and no empty one", cfg.APIAudiences)
	}
	mistakes.Require("ServiceAccounts", cfg.ServiceAccounts, "a ServiceAccountGetter")
	mistakes.Optional("Secrets", cfg.Secrets)
	mistakes.Optional("Pods", cfg.Pods)
	mistakes.Optional("Nodes", cfg.Nodes)
	mistakes.Optional("PodNodes", cfg.PodNodes)
	if cfg.PodNodes != nil && cfg.Nodes == nil {
		mistakes.Add("PodNodes", "is set without Nodes")
	}
	mistakes.Optional("Objects", cfg.Objects)
	mistakes.Optional("Webhooks", cfg.Webhooks)
	if (cfg.Webhooks == nil) != (cfg.Attest == nil) {
		mistakes.Add("Webhooks", "is set without Attest or Attest without it, want both or neither")
	}
	if cfg.MaxLifetime != 0 && (cfg.MaxLifetime < tokenissuer.MinLifetime || cfg.MaxLifetime > tokenissuer.MaxLifetime) {
		mistakes.Add("MaxLifetime", "is %v, want 0 or 10 minutes to 2^32 seconds", cfg.MaxLifetime)
	}
	if cfg.ExtendedLifetime != 0 && (cfg.ExtendedLifetime < time.Second || cfg.ExtendedLifetime > tokenissuer.MaxLifetime) {
		mistakes.Add("ExtendedLifetime", "is %v, want 0 or 1 s to 2^32 s", cfg.ExtendedLifetime)
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	cfg.APIAudiences = slices.Clone(cfg.APIAudiences)
	if cfg.ExtendedLifetime == 0 {
		cfg.ExtendedLifetime = extendedLifetime
	}
	if cfg.PodNodes == nil {
		cfg.PodNodes = cfg.Nodes
	}
	if own := cfg.Issuer.MaxLifetime(); own != 0 {
		cfg.MaxLifetime = min(cmp.Or(cfg.MaxLifetime, own), own)
	}
	return &Requester{cfg: cfg}, nil
}

// Create issues a token for the ServiceAccount called name, as tr asks, and
// returns tr with its defaults and its status. It doesn't change its argument.
// The status holds the token: don't log the result.
//
// An error is what kube-apiserver would answer, a status error of
// k8s.io/apimachinery, or the error of a getter. Only InternalError, and errors
// of getters, may be retried.
func (r *Requester) Create(ctx context.Context, namespace, name string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	e := Event{Namespace: namespace, Name: name}
	began := time.Now()
	answer, err := r.create(ctx, namespace, name, tr, &e)
	if r.cfg.Observe != nil {
		e.finish(err)
		e.Took = time.Since(began)
		r.cfg.Observe(ctx, e)
	}
	return answer, err
}

// create is Create, which adds warnings and annotations to e (REQ-2..58).
func (r *Requester) create(ctx context.Context, namespace, name string, tr *authenticationv1.TokenRequest, e *Event) (*authenticationv1.TokenRequest, error) {
	if tr == nil {
		return nil, apierrors.NewBadRequest("not a TokenRequest: nil")
	}
	if namespace == "" {
		return nil, apierrors.NewBadRequest("namespace is required")
	}
	tr = tr.DeepCopy()
	if r.cfg.Admit != nil {
		if err := denied(name, r.cfg.Admit(ctx, namespace, name, tr.DeepCopy())); err != nil {
			return nil, err
		}
	}
	account, err := r.account(ctx, namespace, name, tr, e)
	if err != nil {
		return nil, err
	}
	now := r.cfg.Issuer.Now()
	r.setDefaults(tr, account, now)
	if errs := validateTokenRequest(tr); len(errs) > 0 {
		return nil, apierrors.NewInvalid(tokenRequestKind, "", errs) // REQ-13: without the name
	}
	if err := r.authorize(ctx, account, tr); err != nil {
		return nil, err
	}
	req := tokenissuer.Request{ServiceAccount: account, Audiences: tr.Spec.Audiences, IgnoreMaxLifetime: true}
	if tr.Spec.BoundObjectRef != nil {
		if err := r.bind(ctx, tr, &req, now); err != nil {
			return nil, err
		}
	}
	r.setLifetime(tr, &req, e)
	token, err := r.cfg.Issuer.Issue(ctx, req)
	if err != nil {
		if bad, ok := errors.AsType[*tokenissuer.RequestError](err); ok {
			return nil, apierrors.NewBadRequest(bad.Error())
		}
		e.Panic, e.Stack = flight.PanicOf(err) // a status error wraps nothing
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	tr.Status = authenticationv1.TokenRequestStatus{
		Token:               token.Value,
		ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(*tr.Spec.ExpirationSeconds) * time.Second)),
	}
	e.CredentialID = token.CredentialID()
	e.annotate(auditCredentialID, e.CredentialID)
	return tr, nil
}

var tokenRequestKind = schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}

// account looks the account up and compares it with what tr says of it
// (REQ-5..9).
func (r *Requester) account(ctx context.Context, namespace, name string, tr *authenticationv1.TokenRequest, e *Event) (*corev1.ServiceAccount, error) {
	metadata := field.NewPath("metadata")
	if tr.Name != "" && tr.Name != name {
		return nil, apierrors.NewInvalid(tokenRequestKind, name, field.ErrorList{
			field.Invalid(metadata.Child("name"), tr.Name, "must match the service account name if specified")})
	}
	if tr.Namespace != "" && tr.Namespace != namespace {
		return nil, apierrors.NewInvalid(tokenRequestKind, name, field.ErrorList{
			field.Invalid(metadata.Child("namespace"), tr.Namespace, "must match the service account namespace if specified")})
	}
	if err := checkName("serviceaccounts", name); err != nil {
		return nil, err
	}
	if !names.ValidNamespace(namespace) {
		return nil, badName(schema.GroupResource{Resource: "serviceaccounts"}, name)
	}
	account, err := read(r.cfg.ServiceAccounts.GetServiceAccount(ctx, namespace, name))
	if err != nil {
		return nil, err
	}
	if tr.UID == "" || tr.UID == account.UID {
		return account, nil
	}
	mismatch := fmt.Sprintf("the UID in the token request (%s) does not match the UID of the service account (%s)", tr.UID, account.UID)
	if !r.cfg.IgnoreUID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: "TokenRequest"}, name, errors.New(mismatch))
	}
	e.annotate(auditUIDMismatch, mismatch)
	e.warn(mismatch + " but TokenRequestServiceAccountUIDValidation is not enabled. In the future, this will return a conflict error")
	return account, nil
}

// setDefaults fills in what tr leaves open (REQ-2, REQ-10..12).
func (r *Requester) setDefaults(tr *authenticationv1.TokenRequest, account *corev1.ServiceAccount, now time.Time) {
	if tr.Spec.ExpirationSeconds == nil {
		seconds := int64(tokenissuer.DefaultLifetime / time.Second)
		tr.Spec.ExpirationSeconds = &seconds
	}
	if len(tr.Spec.Audiences) == 0 {
		tr.Spec.Audiences = slices.Clone(r.cfg.APIAudiences)
	}
	tr.Name, tr.Namespace = account.Name, account.Namespace
	if tr.UID == "" {
		tr.UID = account.UID
	}
	tr.CreationTimestamp = metav1.NewTime(now)
	tr.Status = authenticationv1.TokenRequestStatus{}
}

// authorize asks the hook (REQ-14).
func (r *Requester) authorize(ctx context.Context, account *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) error {
	if r.cfg.Authorize == nil {
		return nil
	}
	return denied(account.Name, r.cfg.Authorize(ctx, account, tr.DeepCopy()))
}

// denied returns the error of a hook that may deny a request, as a status.
func denied(name string, err error) error {
	var status apierrors.APIStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	return apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, name, err)
}

// setLifetime shortens what is too long, and lengthens what kubelets ask for
// (REQ-50..54). The latter doesn't show in tr.
func (r *Requester) setLifetime(tr *authenticationv1.TokenRequest, req *tokenissuer.Request, e *Event) {
	maximum := int64(r.cfg.MaxLifetime / time.Second)
	if requested := *tr.Spec.ExpirationSeconds; maximum > 0 && requested > maximum {
		e.warn(fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", requested, maximum))
		tr.Spec.ExpirationSeconds = &maximum
	}
	req.Lifetime = time.Duration(*tr.Spec.ExpirationSeconds) * time.Second
	forAPI := !slices.ContainsFunc(tr.Spec.Audiences, func(a string) bool { return !slices.Contains(r.cfg.APIAudiences, a) })
	if !r.cfg.DisableExtension && req.Pod != nil && req.Lifetime == injectedLifetime && forAPI {
		req.WarnAfter, req.Lifetime = injectedLifetime, r.cfg.ExtendedLifetime
	}
}
