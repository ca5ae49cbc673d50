package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// Pods that are created through the API get their account and their token, or
// are denied, by the Plugin of the package admission.
func ExampleConfig() {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	plugin, err := admission.New(admission.Config{ServiceAccounts: authority.Cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := apiserver.New(authority, apiserver.Config{
		AdmitPod: func(ctx context.Context, op apiserver.PodOperation) error {
			return plugin.Admit(ctx, admission.Request{
				Operation: op.Operation, Namespace: op.Namespace, Name: op.Name, Subresource: op.Subresource, Pod: op.Pod,
			})
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	for _, account := range []string{"", "nobody"} {
		answer, err := http.Post(server.URL+"/api/v1/namespaces/default/pods", "application/json", strings.NewReader(
			`{"metadata": {"name": "web"}, "spec": {"serviceAccountName": "`+account+`", "containers": [{"name": "web", "image": "web"}]}}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		fmt.Println(answer.Status, err)
		fmt.Println("account:", strings.Contains(string(body), `"serviceAccountName":"default"`), "token:", strings.Contains(string(body), `"serviceAccountToken":{`))
	}

	// Output:
	// 201 Created <nil>
	// account: true token: true
	// 403 Forbidden <nil>
	// account: false token: false
}

// A hook warns the client of what it allows.
func ExampleWarn() {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := apiserver.New(authority, apiserver.Config{AdmitPod: func(ctx context.Context, op apiserver.PodOperation) error {
		if op.Pod.Spec.HostNetwork {
			apiserver.Warn(ctx, "the pod shares the network of its node")
		}
		return nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	body := strings.NewReader(`{"metadata": {"name": "web"}, "spec": {"hostNetwork": true, "containers": [{"name": "web", "image": "web"}]}}`)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/namespaces/default/pods", body))
	fmt.Println(w.Code, w.Header().Get("Warning"))

	// Output:
	// 201 299 - "the pod shares the network of its node"
}
