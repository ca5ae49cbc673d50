package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/review"
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

func (s *Server) reviewToken(ctx context.Context, namespace string, object runtime.Object) (runtime.Object, error) {
	ctx, _, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	request, ok := object.(*authenticationv1.TokenReview)
	if !ok || request == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", object))
	}
	answer, err := review.Token(ctx, s.authority, namespace, request)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Server) reviewSelf(ctx context.Context, namespace string, object runtime.Object) (runtime.Object, error) {
	ctx, user, err := s.login(ctx)
	if err != nil {
		return nil, err
	}
	request, ok := object.(*authenticationv1.SelfSubjectReview)
	if !ok || request == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectReview: %T", object))
	}
	answer, err := review.Self(ctx, s.authority, namespace, request, user)
	if err != nil {
		return nil, err
	}
	return answer, nil
}
