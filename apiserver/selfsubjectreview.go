package apiserver

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/kubesa/serviceaccount/apiserver/internal/objects"
)

// A SelfSubjectReviewREST is the storage of selfsubjectreviews of
// authentication.k8s.io/v1, which tell users who they are. It is safe for concurrent
// use.
type SelfSubjectReviewREST struct {
	hub objects.Hub[authenticationv1.SelfSubjectReview, *authenticationv1.SelfSubjectReview]
}

var (
	_ rest.Creater              = (*SelfSubjectReviewREST)(nil)
	_ rest.Scoper               = (*SelfSubjectReviewREST)(nil)
	_ rest.SingularNameProvider = (*SelfSubjectReviewREST)(nil)
)

// NewSelfSubjectReviewREST returns a SelfSubjectReviewREST. scheme has the internal
// types, if the server has any; it may be nil.
func NewSelfSubjectReviewREST(scheme *runtime.Scheme) *SelfSubjectReviewREST {
	r := &SelfSubjectReviewREST{}
	r.hub.Scheme, r.hub.Kind = scheme, authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview")
	return r
}

// New returns an empty SelfSubjectReview of the type that the server works with.
func (r *SelfSubjectReviewREST) New() runtime.Object { return r.hub.New() }

// Destroy does nothing.
func (r *SelfSubjectReviewREST) Destroy() {}

// NamespaceScoped returns false.
func (r *SelfSubjectReviewREST) NamespaceScoped() bool { return false }

// GetSingularName returns "selfsubjectreview".
func (r *SelfSubjectReviewREST) GetSingularName() string { return "selfsubjectreview" }

// Create returns the user of the request. The object is ignored.
func (r *SelfSubjectReviewREST) Create(ctx context.Context, object runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	if createValidation != nil {
		if err := createValidation(ctx, object.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if _, err := r.hub.Served(object); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectReview: %T", object))
	}
	info, ok := UserOf(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request") // SRV-27
	}
	answer := &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: info}}
	answer.CreationTimestamp = metav1.NewTime(time.Now())
	return r.hub.Internal(answer)
}
