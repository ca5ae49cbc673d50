package manager_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	clientset "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

// Serve the probes of a Pod. A Manager isn't ready until its caches are filled.
func ExampleManager_HealthHandler() {
	m, err := manager.New(manager.Config{Client: clientset.NewClientset()})
	if err != nil {
		panic(err)
	}
	handler := m.HealthHandler()
	for _, path := range []string{"/livez", "/readyz"} {
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, response.Code, response.Body)
	}

	// Output:
	// /livez 200 ok
	//
	// /readyz 503 manager: the caches are not filled yet
}

// outage is an issuer whose keys are unavailable.
type outage struct{}

func (outage) IssueLegacy(context.Context, *corev1.ServiceAccount, *corev1.Secret) (string, error) {
	return "", errors.New("the keys are unavailable")
}

// Count the Secret-based tokens that a controller issues, and the errors.
func ExampleManager_CountIssued() {
	metrics := prometheus.NewRegistry()
	m, err := manager.New(manager.Config{Client: clientset.NewClientset(), Metrics: metrics})
	if err != nil {
		panic(err)
	}
	issuer := m.CountIssued(outage{}) // TokensConfig.Issuer
	_, err = issuer.IssueLegacy(context.Background(), &corev1.ServiceAccount{}, &corev1.Secret{})
	fmt.Println(err)

	families, err := metrics.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() == "serviceaccount_tokens_issued_total" {
			for _, metric := range family.Metric {
				fmt.Println(metric.Label[0].GetValue(), metric.Counter.GetValue())
			}
		}
	}

	// Output:
	// the keys are unavailable
	// error 1
}
