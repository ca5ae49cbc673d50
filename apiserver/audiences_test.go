package apiserver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tokens"
)

// The audiences of a review, of which its sender decides, cost linear time: one body of 3
// MiB took a minute.
func TestReviewOfManyAudiences(t *testing.T) {
	const n = 300_000
	var asked []string
	for i := range n {
		asked = append(asked, fmt.Sprint(i))
	}
	granted := make([]string, n)
	for i := range granted {
		granted[i] = "api"
	}
	a := must(apiserver.NewTokenAuthenticator(verifierFunc(func(context.Context, string, ...string) (*tokens.Identity, error) {
		id := identity()
		id.Audiences = granted
		return id, nil
	})))(t)
	r := must(apiserver.NewTokenReviewREST(nil, apiserver.NewBearerAuthenticator(a), []string{"api"}))(t)
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "token", Audiences: append(asked, granted...)}}
	began := time.Now()
	object, err := r.Create(t.Context(), review, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Quadratic time is more than a minute on any machine, linear time a part of a second.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if status := object.(*authenticationv1.TokenReview).Status; !status.Authenticated || len(status.Audiences) != n {
		t.Errorf("the status is %t for %d audiences, want true for %d", status.Authenticated, len(status.Audiences), n)
	}
}
