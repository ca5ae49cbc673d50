package tokens_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// Serve several clusters with one issuer, as kcp does: tokens name their cluster, and are
// rejected in another one.
func ExampleClusterClaim() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}
	authority, err := fake.NewAuthority(fake.AuthorityConfig{
		Cluster: fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, account),
		ClusterClaim: tokens.ClusterClaim{
			Name:  "clusterName",
			Extra: userinfo.ExtraClusterName,
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	red := tenant.NewContext(context.Background(), "red")
	blue := tenant.NewContext(context.Background(), "blue")
	account, err = authority.Cluster.GetServiceAccount(red, "ci", "builder")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := authority.Issuer.Issue(red, tokenissuer.Request{ServiceAccount: account, Audiences: []string{fake.AuthorityIssuer}})
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := authority.Authenticator.Authenticate(red, token.Value)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(identity.Username(), identity.UserInfo().Extra[userinfo.ExtraClusterName])
	_, err = authority.Authenticator.Authenticate(blue, token.Value)
	fmt.Println(err)

	// Output:
	// system:serviceaccount:ci:builder [red]
	// tokens: service account token is of another cluster
}
