package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tokens"
)

// A TokenReviewREST is the storage of tokenreviews of authentication.k8s.io/v1. It is
// safe for concurrent use.
type TokenReviewREST struct {
	hub       objects.Hub[authenticationv1.TokenReview, *authenticationv1.TokenReview]
	requests  authenticator.Request
	audiences authenticator.Audiences
}

var (
	_ rest.Creater              = (*TokenReviewREST)(nil)
	_ rest.Scoper               = (*TokenReviewREST)(nil)
	_ rest.SingularNameProvider = (*TokenReviewREST)(nil)
)

// NewTokenReviewREST returns a TokenReviewREST that authenticates the tokens of
// reviews as requests does those of requests: it is the authenticator of the server.
// A review without audiences is for apiAudiences. It returns an error naming
// every argument that is missing, each as a [*ConfigError].
//
// scheme has the internal types, if the server has any; it may be nil.
func NewTokenReviewREST(scheme *runtime.Scheme, requests authenticator.Request, apiAudiences []string) (*TokenReviewREST, error) {
	mistakes := configerror.List{Config: "apiserver.TokenReviewREST"}
	mistakes.Require("Requests", requests, "the authenticator of the server")
	if len(apiAudiences) == 0 {
		mistakes.Add("APIAudiences", "is empty, want at least one")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	r := &TokenReviewREST{requests: requests, audiences: append(authenticator.Audiences(nil), apiAudiences...)}
	r.hub.Scheme, r.hub.Kind = scheme, authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	return r, nil
}

// New returns an empty TokenReview of the type that the server works with.
func (r *TokenReviewREST) New() runtime.Object { return r.hub.New() }

// Destroy does nothing.
func (r *TokenReviewREST) Destroy() {}

// NamespaceScoped returns false.
func (r *TokenReviewREST) NamespaceScoped() bool { return false }

// GetSingularName returns "tokenreview".
func (r *TokenReviewREST) GetSingularName() string { return "tokenreview" }

// Create authenticates the token of a review, with the context of the request: the
// warnings and audit annotations of the token are those of the review. The answer is
// without the token.
func (r *TokenReviewREST) Create(ctx context.Context, object runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, err := r.hub.Served(object)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", object))
	}
	if namespace := request.NamespaceValue(ctx); namespace != "" {
		return nil, apierrors.NewBadRequest("namespace is not allowed on this type: " + namespace)
	}
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if createValidation != nil {
		if err := createValidation(ctx, object.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	answer := review.DeepCopy()
	answer.Spec.Token = "" // REV-8
	answer.Status, err = r.status(ctx, review)
	if err != nil {
		return nil, err
	}
	return r.hub.Internal(answer)
}

// errUnavailable is what a client learns of a failed lookup.
const errUnavailable = "tokens: the token could not be verified, try again"

// status returns the answer to review (REV-*).
func (r *TokenReviewREST) status(ctx context.Context, review *authenticationv1.TokenReview) (authenticationv1.TokenReviewStatus, error) {
	audiences := authenticator.Audiences(review.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = r.audiences
	}
	var status authenticationv1.TokenReviewStatus
	if strings.ContainsFunc(review.Spec.Token, unicode.IsSpace) {
		status.Error = "invalid bearer token" // its first word might be a valid one (REV-16)
		return status, nil
	}
	response, ok, err := authenticateToken(authenticator.WithAudiences(ctx, audiences), r.requests, review.Spec.Token)
	switch {
	case err != nil && isUnavailable(err):
		status.Error = errUnavailable
	case err != nil:
		status.Error = err.Error()
	}
	if !ok || err != nil || response == nil || response.User == nil {
		return status, nil
	}
	if countIn(audiences, response.Audiences) == 0 {
		return status, apierrors.NewInternalError(errors.New("error validating audiences"))
	}
	status.Authenticated = true
	status.User = userInfoOf(response.User)
	status.Audiences = response.Audiences
	return status, nil
}

// isUnavailable reports whether a lookup has failed, also in one of the errors of a
// union.
func isUnavailable(err error) bool {
	if all, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, e := range all.Errors() {
			if isUnavailable(e) {
				return true
			}
		}
		return false
	}
	_, unavailable := errors.AsType[*tokens.UnavailableError](err)
	return unavailable
}
