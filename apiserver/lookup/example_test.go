package lookup_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	fakeclient "k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/fake"
)

// accountStore is a server's storage of ServiceAccounts.
type accountStore struct{ cluster *fake.Cluster }

func (s accountStore) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return s.cluster.GetServiceAccount(ctx, request.NamespaceValue(ctx), name)
}

// Read objects of the server's own storage, without a request to the server.
func ExampleFromStorage() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	getters := lookup.FromStorage(runtime.NewScheme(), lookup.Storage{ServiceAccounts: accountStore{fake.New(account)}})
	got, err := getters.ServiceAccounts.GetServiceAccount(context.Background(), "shop", "web")
	fmt.Println(got.UID, err)
	_, err = getters.ServiceAccounts.GetServiceAccount(context.Background(), "shop", "ghost")
	fmt.Println(err)
	fmt.Println(getters.Pods) // no storage: no token can be bound to a pod

	// Output:
	// 1 <nil>
	// serviceaccounts "ghost" not found
	// <nil>
}

// Read objects of an informer, and live what it doesn't have yet.
func ExampleFromListers() {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	old := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "old"}}
	if err := indexer.Add(old); err != nil {
		fmt.Println(err)
		return
	}
	cached := lookup.FromListers(lookup.Listers{ServiceAccounts: corev1listers.NewServiceAccountLister(indexer)})
	live := fake.New(old, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "new"}})
	getters := cached.Or(lookup.Getters{ServiceAccounts: live})
	for _, name := range []string{"old", "new", "ghost"} {
		_, err := getters.ServiceAccounts.GetServiceAccount(context.Background(), "shop", name)
		fmt.Println(name, err)
	}

	// Output:
	// old <nil>
	// new <nil>
	// ghost serviceaccounts "ghost" not found
}

// Read objects of a client's informers, which a server has anyway.
func ExampleFromInformers() {
	client := fakeclient.NewClientset(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}})
	factory := informers.NewSharedInformerFactory(client, 0)
	getters := lookup.FromInformers(factory)
	ctx, cancel := context.WithCancel(context.Background())
	defer factory.Shutdown()
	defer cancel()
	factory.StartWithContext(ctx)
	factory.WaitForCacheSyncWithContext(ctx)
	account, err := getters.ServiceAccounts.GetServiceAccount(ctx, "shop", "web")
	fmt.Println(account.UID, err)
	_, err = getters.Pods.GetPod(ctx, "shop", "web-1")
	fmt.Println(err)

	// Output:
	// 1 <nil>
	// pod "web-1" not found
}
