package compat

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	clientfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	upstreampublisher "k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	upstreamcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/fake"
)

// upstreamActor is who upstream's controllers are in the list of actions.
const upstreamActor = "upstream"

// upstreamControllers are upstream's token controller, ServiceAccount controller
// and root CA publisher on client-go's fake clientset. Its tracker knows neither
// UIDs nor conflicts, preconditions or Namespaces, so a Cluster answers instead.
//
// Goroutines of controllers and informers are a matter of chance. To have the same
// run each time, what the Cluster has to tell is told one change after the other,
// in its order, when everybody is idle. So upstream may see the world as it was
// several changes ago, but never one kind of object earlier than another.
type upstreamControllers struct {
	cluster *fake.Cluster
	feed    *fake.Watch // of all kinds

	mu      sync.Mutex
	watches map[string]*watch.RaceFreeFakeWatcher // by resource
}

// typedClient is what a Cluster has for a kind, like client-go.
type typedClient[P runtime.Object, L any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (P, error)
	List(ctx context.Context, opts metav1.ListOptions) (*L, error)
	Create(ctx context.Context, object P, opts metav1.CreateOptions) (P, error)
	Update(ctx context.Context, object P, opts metav1.UpdateOptions) (P, error)
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (P, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// newUpstreamClient returns a clientset for cluster. If watches is nil, it watches the
// cluster, too, until ctx is done.
func newUpstreamClient(ctx context.Context, cluster *fake.Cluster, watches func(resource string) watch.Interface) *clientfake.Clientset {
	client := &clientfake.Clientset{}
	ctx = fake.WithActor(ctx, upstreamActor)
	core := cluster.CoreV1()
	answer(ctx, client, "namespaces", watches, func(string) typedClient[*namespace, namespaceList] { return core.Namespaces() })
	answer(ctx, client, "serviceaccounts", watches, func(ns string) typedClient[*serviceAccount, serviceAccountList] { return core.ServiceAccounts(ns) })
	answer(ctx, client, "secrets", watches, func(ns string) typedClient[*secret, secretList] { return core.Secrets(ns) })
	answer(ctx, client, "configmaps", watches, func(ns string) typedClient[*configMap, configMapList] { return core.ConfigMaps(ns) })
	answer(ctx, client, "pods", watches, func(ns string) typedClient[*corev1.Pod, corev1.PodList] { return core.Pods(ns) })
	return client
}

// answer makes the clientset ask the Cluster about a resource.
func answer[P runtime.Object, L any](ctx context.Context, client *clientfake.Clientset, resource string, watches func(resource string) watch.Interface, kind func(namespace string) typedClient[P, L]) {
	client.AddReactor("*", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		objects := kind(action.GetNamespace())
		switch a := action.(type) {
		case clienttesting.GetActionImpl:
			return answered(objects.Get(ctx, a.Name, metav1.GetOptions{}))
		case clienttesting.ListActionImpl:
			list, err := objects.List(ctx, metav1.ListOptions{})
			return true, any(list).(runtime.Object), err
		case clienttesting.CreateActionImpl:
			return answered(objects.Create(ctx, a.Object.(P), a.CreateOptions))
		case clienttesting.UpdateActionImpl:
			return answered(objects.Update(ctx, a.Object.(P), a.UpdateOptions))
		case clienttesting.PatchActionImpl:
			return answered(objects.Patch(ctx, a.Name, a.PatchType, a.Patch, a.PatchOptions))
		case clienttesting.DeleteActionImpl:
			return true, nil, objects.Delete(ctx, a.Name, a.DeleteOptions)
		}
		return true, nil, fmt.Errorf("no answer to %T", action)
	})
	client.AddWatchReactor(resource, func(action clienttesting.Action) (bool, watch.Interface, error) {
		if watches != nil {
			return true, watches(resource), nil
		}
		w, err := kind(action.GetNamespace()).Watch(ctx, action.(clienttesting.WatchActionImpl).ListOptions)
		return true, w, err
	})
}

func answered[P runtime.Object](object P, err error) (bool, runtime.Object, error) {
	if err != nil {
		return true, nil, err
	}
	return true, object, nil
}

// startUpstream runs upstream's controllers on cluster in a synctest bubble until
// ctx is done, and returns the function that waits for their end.
func startUpstream(ctx context.Context, cluster *fake.Cluster, generator upstreamtokens.TokenGenerator, rootCA []byte) (*upstreamControllers, func()) {
	u := &upstreamControllers{cluster: cluster, watches: map[string]*watch.RaceFreeFakeWatcher{}}
	// Reactors are given no context, and must work until the last goroutine ends.
	client := newUpstreamClient(context.WithoutCancel(ctx), cluster, u.newWatch)
	factory := informers.NewSharedInformerFactory(client, 0)
	all := factory.Core().V1()
	ctx = klog.NewContext(ctx, klog.Logger{})
	tokens := must(upstreamcontroller.NewTokensController(klog.Logger{}, all.ServiceAccounts(), all.Secrets(), client,
		upstreamcontroller.TokensControllerOptions{TokenGenerator: generator, RootCA: rootCA}))
	accounts := must(upstreamcontroller.NewServiceAccountsController(klog.Logger{}, all.ServiceAccounts(), all.Namespaces(), client,
		upstreamcontroller.DefaultServiceAccountsControllerOptions()))
	publisher := must(upstreampublisher.NewPublisher(all.ConfigMaps(), all.Namespaces(), client, rootCA))

	// Nothing happens before the informers watch, so that nothing is missed.
	u.feed = must(cluster.Watch(ctx, "", "", metav1.ListOptions{ResourceVersion: must(cluster.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})).ResourceVersion}))
	factory.StartWithContext(ctx)
	synctest.Wait()
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx, 1) })
	running.Go(func() { accounts.Run(ctx, 1) })
	running.Go(func() { publisher.Run(ctx, 1) })
	return u, func() {
		running.Wait()
		factory.Shutdown()
		u.feed.Stop()
	}
}

// upstreamResources are the kinds that upstream watches, in the order in which it
// lists them again.
var upstreamResources = []string{"namespaces", "secrets", "serviceaccounts", "configmaps"}

// settle lets upstream work until nothing is left to do. If relist is set, the
// watches break first: what happened before is missed, and comes out of lists.
func (u *upstreamControllers) settle(t *testing.T, relist bool) {
	t.Helper()
	if relist {
		synctest.Wait()
		u.feed.Pending()
		for _, resource := range upstreamResources {
			gone := apierrors.NewResourceExpired("the watch broke").Status()
			u.watchOf(resource).Error(&gone)
			time.Sleep(10 * time.Second) // longer than a reflector's back-off
			synctest.Wait()
		}
	}
	for round := 0; ; round++ {
		if round > 1000 {
			t.Fatal("upstream doesn't come to rest")
		}
		if u.deliver() {
			continue
		}
		time.Sleep(20 * time.Minute) // more than the longest back-off of a queue
		synctest.Wait()
		if u.deliver() {
			continue
		}
		if !finalize(t, u.cluster) {
			return
		}
	}
}

func (u *upstreamControllers) newWatch(resource string) watch.Interface {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.watches[resource] = watch.NewRaceFreeFake()
	return u.watches[resource]
}

func (u *upstreamControllers) watchOf(resource string) *watch.RaceFreeFakeWatcher {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.watches[resource]
}

// deliver tells the informers what happened, one change after the other, and
// reports whether there was any.
func (u *upstreamControllers) deliver() bool {
	synctest.Wait()
	events := u.feed.Pending()
	for _, event := range events {
		if resource := resourceOf(event.Object); resource != "" {
			u.watchOf(resource).Action(event.Type, event.Object)
			synctest.Wait()
		}
	}
	return len(events) > 0
}

// finalize does the work of the Namespace controller, which upstream's side lacks,
// and reports whether there was any.
func finalize(t *testing.T, cluster *fake.Cluster) bool {
	t.Helper()
	ctx := t.Context()
	before := must(cluster.CoreV1().Namespaces().List(ctx, metav1.ListOptions{}))
	for i := range before.Items {
		ns := &before.Items[i]
		if ns.DeletionTimestamp == nil || len(ns.Spec.Finalizers) == 0 {
			continue
		}
		if err := cluster.FinalizeNamespace(ctx, ns.Name); err != nil {
			t.Fatal(err)
		}
	}
	return must(cluster.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})).ResourceVersion != before.ResourceVersion
}
