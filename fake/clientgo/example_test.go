package clientgo_test

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo"
)

// A test of code that gets tokens with client-go, and of code that reviews them.
func ExampleInstall() {
	ctx := context.Background()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	clientset := kubernetesfake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	if err := clientgo.Install(clientset, clientgo.Config{Authority: authority}); err != nil {
		fmt.Println(err)
		return
	}
	if err := authority.Settle(ctx); err != nil { // makes the account "default"
		fmt.Println(err)
		return
	}

	accounts := clientset.CoreV1().ServiceAccounts("ci")
	issued, err := accounts.CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	review := func() {
		answer, err := clientset.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: issued.Status.Token},
		}, metav1.CreateOptions{})
		fmt.Println(answer.Status.Authenticated, answer.Status.User.Username, answer.Status.Error, err)
	}
	review()
	fmt.Println(accounts.Delete(ctx, "default", metav1.DeleteOptions{}))
	review()

	_, err = accounts.CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	fmt.Println(err)

	// Output:
	// true system:serviceaccount:ci:default  <nil>
	// <nil>
	// false  tokens: service account token has been invalidated: its ServiceAccount is gone <nil>
	// serviceaccounts "default" not found
}
