package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// An API server for kubectl, client-go, or plain HTTP: the Secret that is
// posted is filled when it is read, and a Secret that names no account is rejected.
func ExampleNew() {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{RootCA: []byte("ca")})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := apiserver.New(authority, apiserver.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	defer authority.Cluster.DropWatches() // none here, but Close would wait for them

	const path = "/api/v1/namespaces/default/secrets"
	for _, annotations := range []string{`{"kubernetes.io/service-account.name": "default"}`, `{}`} {
		answer, err := http.Post(server.URL+path, "application/json", strings.NewReader(
			`{"metadata": {"name": "manual", "annotations": `+annotations+`}, "type": "kubernetes.io/service-account-token"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.Status)
		answer.Body.Close()
	}
	answer, err := http.Get(server.URL + path + "/manual")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var secret corev1.Secret
	if err := json.NewDecoder(answer.Body).Decode(&secret); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s, and a token of %v parts\n", secret.Data["ca.crt"], secret.Data["namespace"], strings.Count(string(secret.Data["token"]), ".")+1)

	// Output:
	// 201 Created
	// 422 Unprocessable Entity
	// ca default, and a token of 3 parts
}
