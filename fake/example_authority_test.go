package fake_test

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
)

// A test of what takes tokens: real tokens of a real issuer, on a clock that
// the test moves.
func ExampleAuthority() {
	ctx := context.Background()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := authority.Settle(ctx); err != nil { // makes the account
		fmt.Println(err)
		return
	}
	answer, err := authority.CreateToken(ctx, "default", "default", &authenticationv1.TokenRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := authority.Authenticator.Authenticate(ctx, answer.Status.Token)
	fmt.Println(identity.UserInfo().Username, err)

	authority.Advance(2 * time.Hour)
	_, err = authority.Authenticator.Authenticate(ctx, answer.Status.Token)
	fmt.Println(err)

	authority.Advance(-2 * time.Hour)
	if err := authority.Cluster.DeleteServiceAccount(ctx, "default", "default", metav1.DeleteOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	_, err = authority.Authenticator.Authenticate(ctx, answer.Status.Token)
	fmt.Println(err)
	// Output:
	// system:serviceaccount:default:default <nil>
	// tokens: service account token has expired
	// tokens: service account token has been invalidated: its ServiceAccount is gone
}
