package tenant_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// authorities has an issuer, keys and an Authenticator of each tenant's own.
type authorities struct{ tenant.Set[*fake.Authority] }

// Authenticate implements [tokens.Verifier].
func (a *authorities) Authenticate(ctx context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	authority, err := a.Of(ctx)
	if err != nil {
		return nil, &tokens.UnavailableError{Subject: "tenant", Err: err}
	}
	return authority.Authenticator.Authenticate(ctx, token, audiences...)
}

// An issuer with keys of its own for each tenant, behind one cache: a token is accepted at
// its own tenant only.
func ExampleSet_issuers() {
	ctx := context.Background()
	var all authorities
	minted := map[string]string{}
	for _, name := range []string{"red", "blue"} {
		authority, err := fake.NewAuthority(fake.AuthorityConfig{
			Issuer: "https://" + name + ".example", APIAudiences: []string{"api"},
			Cluster: fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}}),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		account, err := authority.Cluster.GetServiceAccount(ctx, "ci", "builder")
		if err != nil {
			fmt.Println(err)
			return
		}
		token, err := authority.Issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		all.Join(name, authority)
		minted[name] = token.Value
	}
	verifier, err := cached.New(cached.Config{Verifier: &all, TTL: time.Minute, NegativeTTL: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"red", "blue", "green"} {
		_, err := verifier.Authenticate(tenant.NewContext(ctx, name), minted["red"])
		fmt.Println(name+":", err)
	}

	// Output:
	// red: <nil>
	// blue: tokens: token is not recognized
	// green: tokens: looking up the tenant: tenant: "green" is unknown, want a tenant that has joined
}
