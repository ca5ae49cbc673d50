package manager_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

// A program that gives every Namespace its default account, here on client-go's
// fake.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := clientset.NewClientset(active("ci"))
	accounts, err := client.CoreV1().ServiceAccounts("ci").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		panic(err)
	}

	m, err := manager.New(manager.Config{Client: client})
	if err != nil {
		fmt.Println(err) // names every mistake in the config
		return
	}
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
		Reader: m.Reader(),                                 // the caches
		Client: serviceaccount.FromCoreV1(client.CoreV1()), // live
	})
	if err != nil {
		panic(err)
	}
	if err := m.Add(controller, manager.Options{Workers: 2}); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()

	event := <-accounts.ResultChan()
	fmt.Println(event.Type, event.Object.(*corev1.ServiceAccount).Name)
	stop()
	fmt.Println(<-ended)
	// Output:
	// ADDED default
	// <nil>
}

// Run needs its controllers added, and its config checked, before.
func ExampleManager_Add() {
	m, err := manager.New(manager.Config{Client: clientset.NewClientset()})
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Run(context.Background()))
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: serviceaccount.FromCoreV1(clientset.NewClientset().CoreV1())})
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Add(controller, manager.Options{Workers: -1}))
	fmt.Println(m.Add(controller, manager.Options{}))
	// Output:
	// manager: there is no controller to run, want Add called before Run
	// manager: Options.Workers is -1, want 0 for the default or a positive value
	// <nil>
}
