package saprometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	saprometheus "github.com/kubesa/serviceaccount/prometheus"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
)

// refusing is a tokens.Verifier that rejects every token.
type refusing struct{}

func (refusing) Authenticate(context.Context, string, ...string) (*tokens.Identity, error) {
	return nil, &tokens.InvalidError{Reason: tokens.ReasonExpired}
}

// Count what a middleware does, log it too, and serve the metrics.
func ExampleNew() {
	registry := prometheus.NewRegistry()
	m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
	if err != nil {
		fmt.Println(err)
		return
	}
	log := func(_ context.Context, e bearer.Event) { fmt.Println("status", e.Status) }
	middleware, err := bearer.New(bearer.Config{Verifier: refusing{}, Observe: m.Bearer(log)})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer a.b.c")
	middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)

	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "serviceaccount_bearer_requests_total") {
			fmt.Print(line)
		}
	}

	// Output:
	// status 401
	// serviceaccount_bearer_requests_total{result="unauthenticated"} 1
}

// A hook whose Event says how it ended, as that of tokens/bearer/grpc does.
func ExampleCalls() {
	registry := prometheus.NewRegistry()
	m, err := saprometheus.New(saprometheus.Config{Registerer: registry})
	if err != nil {
		fmt.Println(err)
		return
	}
	observe := saprometheus.Calls[call](m, nil) // with that module: Calls[bearergrpc.Event]
	observe(context.Background(), call{"Unauthenticated"})

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if strings.HasSuffix(family.GetName(), "_total") {
			fmt.Println(family.GetName(), family.Metric[0].Label[0].GetValue())
		}
	}

	// Output:
	// serviceaccount_bearer_calls_total Unauthenticated
}
