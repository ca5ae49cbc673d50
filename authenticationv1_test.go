package serviceaccount_test

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

var _ tokenreview.Creator = (*serviceaccount.AuthenticationV1)(nil)

// authentication is client-go's AuthenticationV1(), as far as we use it.
type authentication struct{ reviews }

type reviews struct{ err error }

func (a *authentication) TokenReviews() reviews { return a.reviews }

func (r reviews) Create(_ context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if opts.DryRun != nil || opts.FieldManager != "" || opts.FieldValidation != "" {
		return nil, errors.New("options, want none")
	}
	answer := review.DeepCopy()
	answer.Status.Authenticated = true
	return answer, r.err
}

// TRC-1, TRC-2
func TestAuthenticationV1(t *testing.T) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t", Audiences: []string{"a"}}}
	got, err := serviceaccount.FromAuthenticationV1(&authentication{}).CreateTokenReview(t.Context(), review)
	if err != nil || !got.Status.Authenticated || got.Spec.Token != "t" {
		t.Errorf("CreateTokenReview() = %v, %v, want the client's answer", got, err)
	}
	down := errors.New("down")
	if _, err := serviceaccount.FromAuthenticationV1(&authentication{reviews{down}}).CreateTokenReview(t.Context(), review); err != down {
		t.Errorf("CreateTokenReview() = %v, want the client's error", err)
	}
	var nothing *serviceaccount.AuthenticationV1
	for name, none := range map[string]*serviceaccount.AuthenticationV1{
		"nil": nothing, "zero": {}, "of a nil client": serviceaccount.FromAuthenticationV1((*authentication)(nil)),
	} {
		if got, err := none.CreateTokenReview(t.Context(), review); err == nil {
			t.Errorf("%s: CreateTokenReview() = %v, want an error", name, got)
		}
	}
}
