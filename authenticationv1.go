package serviceaccount

import (
	"context"
	"errors"
	"reflect"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TokenReviews is the part of client-go's typed client that [FromAuthenticationV1]
// uses. client-go's client implements it.
type TokenReviews interface {
	Create(ctx context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// AuthenticationV1 sends TokenReviews to a Kubernetes API server: it is the Creator
// of the client of tokens/tokenreview. [FromAuthenticationV1] returns one; the zero
// value returns an error. It is safe for concurrent use if the client below it is;
// client-go's are.
type AuthenticationV1 struct{ reviews func() TokenReviews }

// FromAuthenticationV1 adapts client-go's AuthenticationV1() client, real or fake,
// without making this module depend on client-go: the type argument is inferred.
//
//	client, err := tokenreview.NewClient(tokenreview.ClientConfig{
//		Reviews:   serviceaccount.FromAuthenticationV1(clientset.AuthenticationV1()),
//		Audiences: []string{"vault"},
//	})
//
// It does no I/O. If authentication is a nil pointer, the result returns an error.
func FromAuthenticationV1[R TokenReviews](authentication interface{ TokenReviews() R }) *AuthenticationV1 {
	if v := reflect.ValueOf(authentication); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return new(AuthenticationV1)
	}
	return &AuthenticationV1{func() TokenReviews { return authentication.TokenReviews() }}
}

// CreateTokenReview sends one request and returns the API server's answer, or its
// error, unchanged.
func (a *AuthenticationV1) CreateTokenReview(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	if a == nil || a.reviews == nil {
		return nil, errors.New("serviceaccount: this AuthenticationV1 has no client")
	}
	return a.reviews().Create(ctx, review, metav1.CreateOptions{})
}
