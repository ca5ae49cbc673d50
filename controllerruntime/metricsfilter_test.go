package saruntime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	saruntime "github.com/kubesa/serviceaccount/controllerruntime"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// Metrics are for ServiceAccounts with a token of the right audience, whose RBAC says so.
func TestMetricsFilter(t *testing.T) {
	ctx := t.Context()
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	authority.Advance(time.Since(authority.Now())) // answers about tokens that have expired aren't kept
	reviews := map[string]int{}
	api := must(apiserver.New(authority, apiserver.Config{}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reviews[r.URL.Path]++
		if r.URL.Path != "/apis/authorization.k8s.io/v1/subjectaccessreviews" {
			api.ServeHTTP(w, r)
			return
		}
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s := review.Spec
		if s.User == "system:serviceaccount:ops:broken" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		review.Status.Allowed = s.User == "system:serviceaccount:ops:prometheus" && s.NonResourceAttributes.Path == "/metrics" && s.NonResourceAttributes.Verb == "get"
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer server.Close()
	must(authority.Cluster.CreateNamespace(ctx, namespace("ops")))
	token := func(account, audience string) string {
		if _, err := authority.Cluster.GetServiceAccount(ctx, "ops", account); err != nil {
			must(authority.Cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: account}}))
		}
		return must(authority.CreateToken(ctx, "ops", account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}})).Status.Token
	}
	filter := must(saruntime.MetricsFilter("metrics.example.com")(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, server.Client()))
	handler := must(filter(quiet, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1") })))
	get := func(path, token string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil).WithContext(context.WithoutCancel(ctx))
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	good := token("prometheus", "metrics.example.com")
	for _, tt := range []struct {
		name, path, token string
		want              int
	}{
		{"good", "/metrics", good, http.StatusOK},
		{"again", "/metrics", good, http.StatusOK},
		{"no token", "/metrics", "", http.StatusUnauthorized},
		{"no such token", "/metrics", "e30.e30.x", http.StatusUnauthorized},
		{"of the API server's audience", "/metrics", token("prometheus", fake.AuthorityIssuer), http.StatusUnauthorized},
		{"another path", "/debug/pprof", good, http.StatusForbidden},
		{"another account", "/metrics", token("curious", "metrics.example.com"), http.StatusForbidden},
		{"the API server doesn't say", "/metrics", token("broken", "metrics.example.com"), http.StatusServiceUnavailable},
	} {
		if got := get(tt.path, tt.token); got != tt.want {
			t.Errorf("%s: HTTP %d, want %d", tt.name, got, tt.want)
		}
	}
	if before := reviews["/apis/authentication.k8s.io/v1/tokenreviews"]; get("/metrics", good) != http.StatusOK || reviews["/apis/authentication.k8s.io/v1/tokenreviews"] != before {
		t.Error("the API server is asked again about a token that it has just accepted")
	}
	if _, err := saruntime.MetricsFilter()(&rest.Config{Host: server.URL}, server.Client()); err == nil {
		t.Error("a filter without audiences")
	}
}

// A manager whose metrics are for ServiceAccounts with a token for it.
func ExampleMetricsFilter() {
	options := metricsserver.Options{
		BindAddress:    ":8443",
		SecureServing:  true,
		FilterProvider: saruntime.MetricsFilter("metrics.example.com"),
	}
	_, err := options.FilterProvider(&rest.Config{Host: "https://127.0.0.1:6443"}, http.DefaultClient)
	fmt.Println(err)

	// Output:
	// <nil>
}
