package saruntime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
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
func TestMetricsFilter(t *testing.T) { synctest.Test(t, testMetricsFilter) }

func testMetricsFilter(t *testing.T) {
	ctx := t.Context()
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	if time.Now().After(authority.Now()) {
		t.Fatal("the tokens have expired")
	}
	reviews := map[string]int{}
	api := must(apiserver.New(authority, apiserver.Config{}))
	var asked []authorizationv1.SubjectAccessReviewSpec
	var server answers = func(w http.ResponseWriter, r *http.Request) {
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
		asked = append(asked, s)
		if s.User == "system:serviceaccount:ops:broken" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		review.Status.Allowed = s.User == "system:serviceaccount:ops:prometheus" && s.NonResourceAttributes.Path == "/metrics" && s.NonResourceAttributes.Verb == "get"
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}
	must(authority.Cluster.CreateNamespace(ctx, namespace("ops")))
	token := func(account, audience string) string {
		if _, err := authority.Cluster.GetServiceAccount(ctx, "ops", account); err != nil {
			must(authority.Cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: account}}))
		}
		return must(authority.CreateToken(ctx, "ops", account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}})).Status.Token
	}
	audiences := []string{"metrics.example.com"}
	provider := saruntime.MetricsFilter(audiences...)
	audiences[0] = "another" // it has a copy
	filter := must(provider(&rest.Config{Host: "https://api.example", ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, &http.Client{Transport: server}))
	var lines []string
	logger := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{Verbosity: 4})
	handler := must(filter(logger, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1") })))
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
	if len(lines) != 6 || !strings.Contains(lines[3], `"level"=4 "msg"="Request refused" "status"=403 "reason"="bearer: forbidden: saruntime: system:serviceaccount:ops:prometheus may not get /debug/pprof"`) || !strings.Contains(lines[5], "SubjectAccessReview: the server is currently unable") {
		t.Errorf("logged\n%s\nwant a line for each request that is refused", strings.Join(lines, "\n"))
	}
	account := must(authority.Cluster.GetServiceAccount(ctx, "ops", "prometheus"))
	if want := []string{"system:serviceaccounts", "system:serviceaccounts:ops", "system:authenticated"}; !slices.Equal(asked[0].Groups, want) || asked[0].UID != string(account.UID) || len(asked[0].Extra["authentication.kubernetes.io/credential-id"]) != 1 {
		t.Errorf("the API server is asked about %+v, want all of the user", asked[0])
	}
	if before := reviews["/apis/authentication.k8s.io/v1/tokenreviews"]; get("/metrics", good) != http.StatusOK || reviews["/apis/authentication.k8s.io/v1/tokenreviews"] != before {
		t.Error("the API server is asked again about a token that it has just accepted")
	}
	for after, asks := range []int{0, 1} { // TRC-24: ten seconds
		before := reviews["/apis/authentication.k8s.io/v1/tokenreviews"]
		time.Sleep(10*time.Second - 500*time.Millisecond + time.Duration(after)*time.Millisecond)
		if got := get("/metrics", good); got != http.StatusOK || reviews["/apis/authentication.k8s.io/v1/tokenreviews"] != before+asks {
			t.Errorf("HTTP %d, the API server is asked %d times more, want %d", got, reviews["/apis/authentication.k8s.io/v1/tokenreviews"]-before, asks)
		}
		time.Sleep(time.Second)
	}
	for name, filter := range map[string]func() (metricsserver.Filter, error){
		"Audiences": func() (metricsserver.Filter, error) {
			return saruntime.MetricsFilter()(&rest.Config{}, &http.Client{Transport: server})
		},
		"rest.Config": func() (metricsserver.Filter, error) { return saruntime.MetricsFilter("a")(nil, nil) },
	} {
		if got, err := filter(); err == nil || got != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error on %s", err, name)
		}
	}
}

// answers are those of an API server without a network.
type answers http.HandlerFunc

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a(w, r)
	return w.Result(), nil
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
