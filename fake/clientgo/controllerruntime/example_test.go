package controllerruntime_test

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo/controllerruntime"
)

// A test of code that gets tokens with controller-runtime's client, and of code
// that reviews them.
func ExampleNewClient() {
	ctx := context.Background()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	builder := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}
	base := clientfake.NewClientBuilder().WithObjects(builder).Build()
	c, err := controllerruntime.NewClient(base, controllerruntime.Config{Authority: authority})
	if err != nil {
		fmt.Println(err)
		return
	}

	request := &authenticationv1.TokenRequest{}
	if err := c.SubResource("token").Create(ctx, builder, request); err != nil {
		fmt.Println(err)
		return
	}
	review := func() {
		answer := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token}}
		err := c.Create(ctx, answer)
		fmt.Println(answer.Status.Authenticated, answer.Status.User.Username, answer.Status.Error, err)
	}
	review()
	fmt.Println(c.Delete(ctx, builder))
	review()

	// Output:
	// true system:serviceaccount:ci:builder  <nil>
	// <nil>
	// false  tokens: service account token has been invalidated: its ServiceAccount is gone <nil>
}
