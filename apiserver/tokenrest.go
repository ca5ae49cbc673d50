package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// TokenResource is the resource of the group "" and version v1 that a [TokenREST] is
// the storage of.
const TokenResource = "serviceaccounts/token"

// A TokenREST is the storage of [TokenResource]: it answers TokenRequests. It is safe
// for concurrent use.
type TokenREST struct {
	hub       objects.Hub[authenticationv1.TokenRequest, *authenticationv1.TokenRequest]
	requester *tokenrequest.Requester
}

var (
	_ rest.NamedCreater                   = (*TokenREST)(nil)
	_ rest.GroupVersionKindProvider       = (*TokenREST)(nil)
	_ rest.SubresourceObjectMetaPreserver = (*TokenREST)(nil)
)

// NewTokenREST returns a TokenREST that answers as a [tokenrequest.Requester] of cfg
// does, or the errors of [tokenrequest.New]. Admission of the server is asked where
// [tokenrequest.Config.Authorize] is, before it; warnings and audit annotations go to
// the request.
//
// scheme has the internal types, if the server has any; it may be nil.
func NewTokenREST(scheme *runtime.Scheme, cfg tokenrequest.Config) (*TokenREST, error) {
	also := cfg.Authorize
	cfg.Authorize = func(ctx context.Context, account *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) error {
		if err := validate(ctx, tr); err != nil || also == nil {
			return err
		}
		return also(ctx, account, tr)
	}
	cfg.Observe = observers(ObserveTokenRequest, cfg.Observe)
	requester, err := tokenrequest.New(cfg)
	if err != nil {
		return nil, err
	}
	r := &TokenREST{requester: requester}
	r.hub.Scheme, r.hub.Kind = scheme, tokenRequestKind
	return r, nil
}

var tokenRequestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// New returns an empty TokenRequest of the type that the server works with.
func (r *TokenREST) New() runtime.Object { return r.hub.New() }

// Destroy does nothing.
func (r *TokenREST) Destroy() {}

// GroupVersionKind returns authentication.k8s.io/v1 TokenRequest, whose group isn't
// that of the resource.
func (r *TokenREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return tokenRequestKind
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate returns true: the UID in a
// TokenRequest is a precondition.
func (r *TokenREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create issues a token for the account called name in the namespace of ctx.
func (r *TokenREST) Create(ctx context.Context, name string, object runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	tr, err := r.hub.Served(object)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", object))
	}
	namespace, _ := request.NamespaceFrom(ctx)
	if createValidation != nil {
		ctx = context.WithValue(ctx, validationKey{}, func(ctx context.Context, tr *authenticationv1.TokenRequest) error {
			object, err := r.hub.Internal(tr)
			if err != nil {
				return err
			}
			return createValidation(ctx, object)
		})
	}
	answer, err := r.requester.Create(ctx, namespace, name, tr)
	if err != nil {
		return nil, err
	}
	return r.hub.Internal(answer)
}

// A validationKey leads from a context to the validating admission of its request.
type validationKey struct{}

// validate asks admission, which owns tr, at most once a request (SRV-23).
func validate(ctx context.Context, tr *authenticationv1.TokenRequest) error {
	if f, ok := ctx.Value(validationKey{}).(func(context.Context, *authenticationv1.TokenRequest) error); ok {
		return f(ctx, tr.DeepCopy())
	}
	return nil
}
