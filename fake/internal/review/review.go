// Package review answers the requests of an API server that are not about stored objects:
// TokenRequests, TokenReviews and SelfSubjectReviews. Its functions do what stands
// between a request and the Authority.
package review

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
)

// authenticated is the group of everybody who is not anonymous (REV-15).
const authenticated = "system:authenticated"

// Anonymous is a caller without credentials, Administrator one who may do everything.
var (
	Anonymous     = authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	Administrator = authenticationv1.UserInfo{Username: "system:admin", Groups: []string{"system:masters", authenticated}}
)

// User returns whom a token stands for, with the group that the API server adds.
func User(identity *tokens.Identity) authenticationv1.UserInfo {
	user := identity.UserInfo()
	user.Groups = append(user.Groups, authenticated)
	return user
}

// CreateToken answers a TokenRequest for the account called name. The generic part of
// the API server has compared the namespaces before anything else looks at it (REQ-3).
func CreateToken(ctx context.Context, a *fake.Authority, namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	if request.Namespace != "" && request.Namespace != namespace {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return a.CreateToken(ctx, namespace, name, request)
}

// Token answers a TokenReview that was sent to a namespace, "" for none. What it can't
// be asked gets 400 (REV-1..3), and what comes after the authenticator for service
// accounts in an API server gives a token that nobody recognizes its text, and everybody
// else a group (REV-9, REV-15).
func Token(ctx context.Context, a *fake.Authority, namespace string, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	if err := noNamespace(namespace); err != nil {
		return nil, err
	}
	if review.Namespace != "" || review.UID != "" { // that of the path counts; what isn't stored has no UID
		review = review.DeepCopy()
		review.Namespace, review.UID = "", ""
	}
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	answer, err := a.Review(ctx, review)
	if err != nil {
		return nil, err
	}
	switch {
	case answer.Status.Authenticated:
		answer.Status.User.Groups = append(answer.Status.User.Groups, authenticated)
	case answer.Status.Error == "":
		answer.Status.Error = "invalid bearer token"
	}
	return answer, nil
}

// Self tells the client who it is.
func Self(ctx context.Context, a *fake.Authority, namespace string, review *authenticationv1.SelfSubjectReview, user authenticationv1.UserInfo) (*authenticationv1.SelfSubjectReview, error) {
	if err := noNamespace(namespace); err != nil {
		return nil, err
	}
	return a.ReviewSelf(ctx, review, user)
}

func noNamespace(path string) error {
	if path != "" {
		return apierrors.NewBadRequest("namespace is not allowed on this type: " + path)
	}
	return nil
}
