package serviceaccount_test

import (
	"context"
	"fmt"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// One controller keeps the accounts of two tenants, each with an API server of its own.
func ExampleByTenant() {
	var clients tenant.Set[*serviceaccount.CoreV1]
	all := serviceaccount.ByTenant(clients.Of)
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: all, Client: all}))

	for _, name := range []string{"red", "blue"} {
		cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name + "-shop"}})
		clients.Join(name, serviceaccount.FromCoreV1(cluster.CoreV1())) // in production, a clientset's
		check(cluster.Settle(tenant.NewContext(context.Background(), name), accounts))
	}
	_, err := all.GetServiceAccount(tenant.NewContext(context.Background(), "blue"), "blue-shop", "default")
	fmt.Println("its own account:", err)
	_, err = all.GetServiceAccount(tenant.NewContext(context.Background(), "blue"), "red-shop", "default")
	fmt.Println("that of another:", err)
	_, err = all.GetServiceAccount(context.Background(), "blue-shop", "default")
	fmt.Println("of no tenant:", err)

	// Output:
	// its own account: <nil>
	// that of another: serviceaccounts "default" not found
	// of no tenant: tenant: the context names no tenant
}

// The ClusterTrustBundles of two tenants.
func ExampleCertificatesByTenant() {
	var clients tenant.Set[*serviceaccount.CertificatesV1]
	clients.Join("red", serviceaccount.FromCertificatesV1(fake.New().CertificatesV1())) // in production, a clientset's
	all := serviceaccount.CertificatesByTenant(clients.Of)
	for _, name := range []string{"red", "blue"} {
		bundles, err := all.ListClusterTrustBundles(tenant.NewContext(context.Background(), name), rootca.ServingSigner)
		fmt.Println(len(bundles), err)
	}

	// Output:
	// 0 <nil>
	// 0 tenant: "blue" is unknown, want a tenant that has joined
}
