package manager_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientset "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/tenant"
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

// Read what the controllers see. Nothing is read before Run has filled the caches,
// nor what no controller watches.
func ExampleManager_Reader() {
	client := clientset.NewClientset(active("ci"))
	m, err := manager.New(manager.Config{Client: client})
	if err != nil {
		panic(err)
	}
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: serviceaccount.FromCoreV1(client.CoreV1())})
	if err != nil {
		panic(err)
	}
	if err := m.Add(controller, manager.Options{}); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()
	for m.Ready() != nil {
		time.Sleep(time.Millisecond)
	}

	namespace, err := m.Reader().GetNamespace(ctx, "ci")
	fmt.Println(namespace.Name, err)
	_, err = m.Reader().GetNamespace(ctx, "none")
	fmt.Println(apierrors.IsNotFound(err))
	_, err = m.Reader().ListPods(ctx, "ci")
	fmt.Println(err)
	stop()
	<-ended

	// Output:
	// ci <nil>
	// true
	// manager: pods are not watched, want a controller that was added with them
}

// Bound the writes of the controllers by the lease: wrap the config of their clients.
func ExampleGuard() {
	config := &rest.Config{Host: "https://kube-apiserver"}
	config.Wrap(manager.Guard)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	clients := serviceaccount.FromCoreV1(client.CoreV1()) // the Client of controllers
	fmt.Println(clients != nil)

	// Output: true
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

// One Manager for many tenants: each joins with the client of its own API server.
func ExampleManager_Join() {
	m, err := manager.New(manager.Config{Client: clientset.NewClientset(), Tenants: true})
	if err != nil {
		panic(err)
	}
	var clients tenant.Set[*serviceaccount.CoreV1]
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
		Reader: m.Reader(),                          // the caches of the context's tenant
		Client: serviceaccount.ByTenant(clients.Of), // its API server
	})
	if err != nil {
		panic(err)
	}
	if err := m.Add(controller, manager.Options{Workers: 8}); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	for _, name := range []string{"red", "blue"} {
		client := clientset.NewClientset(active("of-" + name))
		accounts, err := client.CoreV1().ServiceAccounts("").Watch(ctx, metav1.ListOptions{})
		if err != nil {
			panic(err)
		}
		clients.Join(name, serviceaccount.FromCoreV1(client.CoreV1()))
		if err := m.Join(manager.Tenant{Name: name, Client: client}); err != nil {
			panic(err)
		}
		account := (<-accounts.ResultChan()).Object.(*corev1.ServiceAccount)
		fmt.Println(name, account.Namespace, account.Name)
	}
	fmt.Println(m.Leave(ctx, "red"), m.TenantReady("red"))
	stop()
	fmt.Println(<-ended)

	// Output:
	// red of-red default
	// blue of-blue default
	// <nil> tenant: "red" is unknown, want a tenant that has joined
	// <nil>
}
