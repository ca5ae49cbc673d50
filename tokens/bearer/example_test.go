package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
)

// Let the accounts of one namespace in.
func ExampleNew() {
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	middleware, err := bearer.New(bearer.Config{
		Verifier:  authority.Authenticator,
		Audiences: []string{"vault"},
		Authorize: func(r *http.Request, id *tokens.Identity) error {
			if id.Namespace != "ci" {
				return errors.New("only for ci")
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", bearer.IdentityFrom(r.Context()).Username())
	}))

	ask := func(header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	for _, audience := range []string{"vault", "other"} {
		tr, err := authority.CreateToken(context.Background(), "ci", "builder", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		ask("Bearer " + tr.Status.Token)
	}
	ask("")

	// Output:
	// 200 hello system:serviceaccount:ci:builder
	// 401 the bearer token is not valid here
	// 401 a bearer token is required
}

// Let requests of another framework in, here those of a line protocol.
func ExampleNewGate() {
	ctx := context.Background()
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate, err := bearer.NewGate(authority.Authenticator, []string{"vault"}, tokens.Policy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	serve := func(authorization, line string) string {
		id, err := gate.Authenticate(ctx, []string{authorization}, func(*tokens.Identity) error {
			if line == "delete" {
				return errors.New("nobody may delete")
			}
			return nil
		})
		if err != nil {
			failure := bearer.FailureOf(err) // Status says which code of the protocol it is
			return fmt.Sprint(failure.Status, " ", failure.Text)
		}
		ctx := bearer.WithIdentity(ctx, id) // for handlers
		return line + " by " + bearer.IdentityFrom(ctx).Username()
	}
	tr, err := authority.CreateToken(ctx, "ci", "builder", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(serve("Bearer "+tr.Status.Token, "read"))
	fmt.Println(serve("Bearer "+tr.Status.Token, "delete"))
	fmt.Println(serve("Basic eDp5", "read"))

	// Output:
	// read by system:serviceaccount:ci:builder
	// 403 the service account may not do this
	// 401 a bearer token is required
}
