package apiserver_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tokens"
)

// The audiences of a review, of which its sender decides, cost linear time: one body of 3
// MiB took a minute. Comparisons of strings can't be counted, so that the measure is how the
// time grows: 64 times as many cost 64 times as much, or 4096 times.
func TestReviewOfManyAudiences(t *testing.T) {
	const n, times = 1000, 64
	few, many := reviewOfAudiences(t, n), reviewOfAudiences(t, n*times)
	if growth := float64(many) / float64(few); growth > 10*times {
		t.Errorf("%d times as many audiences cost %.0f times the time", times, growth)
	}
}

// reviewOfAudiences returns the shortest time of a few reviews with n audiences that nobody grants and n
// that are granted.
func reviewOfAudiences(t *testing.T, n int) time.Duration {
	t.Helper()
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
	least := time.Duration(math.MaxInt64)
	for range 5 {
		began := time.Now()
		object, err := r.Create(t.Context(), review, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(began))
		if status := object.(*authenticationv1.TokenReview).Status; !status.Authenticated || len(status.Audiences) != n {
			t.Errorf("the status is %t for %d audiences, want true for %d", status.Authenticated, len(status.Audiences), n)
		}
	}
	return least
}
