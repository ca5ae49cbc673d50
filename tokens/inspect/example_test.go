package inspect_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// Show why a token is rejected. The result is for people; programs use
// Authenticate.
func ExampleExplain() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, account)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster, APIAudiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	account, err = cluster.GetServiceAccount(ctx, "ci", "builder")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := authority.Issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := inspect.Explain(ctx, authority.Authenticator, token.Value)
	fmt.Println(e.Result, e.Signature, e.Algorithm, e.Identity.Username())

	e = inspect.Explain(ctx, authority.Authenticator, token.Value, "vault")
	fmt.Println(e.Result, e.Reason)

	// Output:
	// Accepted Valid ES256 system:serviceaccount:ci:builder
	// Rejected Audience
}

// A client looks up when its own token expires.
func ExamplePeekUnverified() {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOlsiYXBpIl0sImV4cCI6MTc2NzI3MjQwMCwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OmNpOmJ1aWxkZXIifQ.AAAA"
	claims, err := inspect.PeekUnverified(token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(claims.Subject, claims.Audiences, claims.Expiry.UTC())

	// Output:
	// system:serviceaccount:ci:builder [api] 2026-01-01 13:00:00 +0000 UTC
}

// A proxy before several clusters finds the one that a request is for, as kcp does. That
// cluster authenticates the request, and rejects tokens of others.
func ExamplePeekUnverified_cluster() {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJrdWJlcm5ldGVzLmlvIjp7Im5hbWVzcGFjZSI6ImNpIiwiY2x1c3Rlck5hbWUiOiJyb290Om9yZyJ9fQ.AAAA"
	claims, err := inspect.PeekUnverified(token)
	if err != nil {
		fmt.Println(err) // the request has a token of another kind: it stays as it is
		return
	}
	const path = "/api/v1/namespaces/ci/pods"
	clusters := map[string]string{"root:org": "/clusters/root:org"} // those there are: a token may name anything
	fmt.Println(clusters[claims.Others["clusterName"]] + path)

	// Output:
	// /clusters/root:org/api/v1/namespaces/ci/pods
}
