package apiserver_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
)

// A bearer accepts one token.
type bearer struct{ token string }

func (b bearer) Authenticate(_ context.Context, token string, audiences ...string) (*tokens.Identity, error) {
	switch {
	case token == b.token:
		return &tokens.Identity{Namespace: "shop", Name: "web", UID: "1", Audiences: audiences}, nil
	case strings.HasPrefix(token, b.token):
		return nil, &tokens.InvalidError{Reason: tokens.ReasonExpired}
	}
	return nil, &tokens.NotRecognizedError{Reason: tokens.ReasonMalformed}
}

// What a union of authenticators gets: a user, an error, or neither for a token that may
// be another authenticator's.
func ExampleNewTokenAuthenticator() {
	a, err := apiserver.NewTokenAuthenticator(bearer{"good"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := authenticator.WithAudiences(context.Background(), authenticator.Audiences{"api"})
	response, ok, err := a.AuthenticateToken(ctx, "good")
	fmt.Println(response.User.GetName(), response.Audiences, ok, err)
	_, ok, err = a.AuthenticateToken(ctx, "good, but old")
	fmt.Println(ok, err)
	_, ok, err = a.AuthenticateToken(ctx, "another's")
	fmt.Println(ok, err)

	// Output:
	// system:serviceaccount:shop:web [api] true <nil>
	// false tokens: service account token has expired
	// false <nil>
}

// A verifier is required.
func ExampleNewTokenAuthenticator_mistakes() {
	_, err := apiserver.NewTokenAuthenticator(nil)
	mistake, ok := errors.AsType[*apiserver.ConfigError](err)
	fmt.Println(ok, mistake)

	// Output:
	// true apiserver: TokenAuthenticator.Verifier is required, want a tokens.Verifier
}

// A token is in the header Authorization, or in the subprotocol of a WebSocket.
func ExampleNewBearerAuthenticator() {
	a, err := apiserver.NewTokenAuthenticator(bearer{"good"})
	if err != nil {
		fmt.Println(err)
		return
	}
	requests := apiserver.NewBearerAuthenticator(a)
	ctx := authenticator.WithAudiences(context.Background(), authenticator.Audiences{"api"})
	get := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/", nil)
	get.Header.Set("Authorization", "Bearer good")
	socket := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/", nil)
	socket.Header.Set("Connection", "Upgrade")
	socket.Header.Set("Upgrade", "websocket")
	socket.Header.Set("Sec-WebSocket-Protocol",
		"base64url.bearer.authorization.k8s.io."+base64.RawURLEncoding.EncodeToString([]byte("good"))+", v5.channel.k8s.io")
	for _, r := range []*http.Request{get, socket} {
		response, ok, err := requests.AuthenticateRequest(r)
		fmt.Println(response.User.GetName(), ok, err)
	}
	fmt.Printf("%q %q\n", get.Header.Get("Authorization"), socket.Header.Get("Sec-WebSocket-Protocol")) // later handlers see no token

	// Output:
	// system:serviceaccount:shop:web true <nil>
	// system:serviceaccount:shop:web true <nil>
	// "" "v5.channel.k8s.io"
}

// Admit a pod without a server's chain of plugins.
func ExampleNewAdmissionPlugin() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}
	plugin, err := apiserver.NewAdmissionPlugin(admission.Config{ServiceAccounts: fake.New(account)})
	if err != nil {
		fmt.Println(err)
		return
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	err = plugin.Admit(context.Background(), genericadmission.NewAttributesRecord(pod, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "shop", "web",
		corev1.SchemeGroupVersion.WithResource("pods"), "", genericadmission.Create, &metav1.CreateOptions{}, false, nil), nil)
	fmt.Println(err, pod.Spec.ServiceAccountName, pod.Spec.Containers[0].VolumeMounts[0].MountPath)

	// Output:
	// <nil> default /var/run/secrets/kubernetes.io/serviceaccount
}

// Install them when the server starts, if it has RBAC.
func ExampleClusterRoles() {
	for _, role := range apiserver.ClusterRoles() {
		for _, rule := range role.Rules {
			fmt.Println(role.Name, rule.Verbs, rule.Resources, len(rule.NonResourceURLs))
		}
	}

	// Output:
	// system:auth-delegator [create] [tokenreviews] 0
	// system:auth-delegator [create] [subjectaccessreviews] 0
	// system:basic-user [create] [selfsubjectreviews] 0
	// system:basic-user [create] [selfsubjectaccessreviews selfsubjectrulesreviews] 0
	// system:service-account-issuer-discovery [get] [] 4
}

// Bind them to the groups that have them in every cluster.
func ExampleClusterRoleBindings() {
	for _, binding := range apiserver.ClusterRoleBindings() {
		fmt.Println(binding.RoleRef.Name, binding.Subjects[0].Kind, binding.Subjects[0].Name)
	}

	// Output:
	// system:basic-user Group system:authenticated
	// system:service-account-issuer-discovery Group system:serviceaccounts
}

// A server whose own objects are v1 Pods converts requests to no internal type.
func ExampleAddHub() {
	scheme := runtime.NewScheme()
	fmt.Println(apiserver.AddHub(scheme, corev1.SchemeGroupVersion))
	fmt.Println(corev1.AddToScheme(scheme), apiserver.AddHub(scheme, corev1.SchemeGroupVersion))
	internal, err := scheme.New(schema.GroupVersionKind{Version: runtime.APIVersionInternal, Kind: "Pod"})
	fmt.Printf("%T %v\n", internal, err)

	// Output:
	// apiserver: no type of v1 is registered
	// <nil> <nil>
	// *v1.Pod <nil>
}
