package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Review is a kind that is only created: a question with its answer.
type Review struct {
	GVK    schema.GroupVersionKind
	GVR    schema.GroupVersionResource
	New    func() runtime.Object
	Create func(ctx context.Context, namespace string, object runtime.Object) (runtime.Object, error)
}

// Reviews returns the kinds of the group authentication.k8s.io; API servers of
// today have no other versions of them.
func (s *Server) Reviews() []Review {
	v1 := authenticationv1.SchemeGroupVersion
	return []Review{
		{
			v1.WithKind("TokenReview"), v1.WithResource("tokenreviews"),
			func() runtime.Object { return &authenticationv1.TokenReview{} }, s.reviewToken,
		},
		{
			v1.WithKind("SelfSubjectReview"), v1.WithResource("selfsubjectreviews"),
			func() runtime.Object { return &authenticationv1.SelfSubjectReview{} }, s.reviewSelf,
		},
	}
}

// reviewToken answers a TokenReview. What it can't be asked gets 400 (REV-1..3),
// and what comes after the authenticator for service accounts in an API server
// gives a token that nobody recognizes its text, and everybody else a group
// (REV-9, REV-15).
func (s *Server) reviewToken(ctx context.Context, namespace string, object runtime.Object) (runtime.Object, error) {
	ctx, _, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	review, ok := object.(*authenticationv1.TokenReview)
	switch {
	case !ok || review == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", object))
	case namespace != "":
		return nil, apierrors.NewBadRequest("namespace is not allowed on this type: " + namespace)
	case review.Namespace != "":
		return nil, apierrors.NewBadRequest("namespace is not allowed on this type: " + review.Namespace)
	case review.Spec.Token == "":
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	answer, err := s.authority.Review(ctx, review)
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

// reviewSelf says who calls.
func (s *Server) reviewSelf(ctx context.Context, namespace string, object runtime.Object) (runtime.Object, error) {
	ctx, user, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	review, ok := object.(*authenticationv1.SelfSubjectReview)
	switch {
	case !ok || review == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectReview: %T", object))
	case namespace != "" || review.Namespace != "":
		return nil, apierrors.NewBadRequest("namespace is not allowed on this type: " + namespace + review.Namespace)
	}
	answer, err := s.authority.ReviewSelf(ctx, review, user)
	if err != nil {
		return nil, err
	}
	return answer, nil
}
