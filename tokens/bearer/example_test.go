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
