package clientgo_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	serviceaccount "github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// log is what an informer has said.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// take returns what was said since the last call.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *log) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { l.add("add " + o.(metav1.Object).GetName()) },
		UpdateFunc: func(_, o any) { l.add("update " + o.(metav1.Object).GetName()) },
		DeleteFunc: func(o any) {
			if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			l.add("delete " + o.(metav1.Object).GetName())
		},
	}
}

// Informers see everything that happens in the Cluster, whoever does it, and
// also after their watch was lost.
func TestInformers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientset, authority := world(t)
		ctx := t.Context()
		factory := informers.NewSharedInformerFactory(clientset, 0)
		informer := factory.Core().V1().ServiceAccounts()
		var seen log
		if _, err := informer.Informer().AddEventHandler(seen.handler()); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		factory.Start(stop)
		defer factory.Shutdown()
		defer close(stop)
		factory.WaitForCacheSync(stop)
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			if got := seen.take(); !slices.Equal(got, lines) {
				t.Errorf("the informer said %q, want %q", got, lines)
			}
		}
		want("add default", "add default") // of ci and of default

		accounts := clientset.CoreV1().ServiceAccounts("ci")
		if _, err := accounts.Create(ctx, account("ci", "builder"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		want("add builder")
		if _, err := accounts.Patch(ctx, "builder", types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"blue"}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		want("update builder")
		if err := authority.Cluster.DeleteServiceAccount(ctx, "ci", "builder", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		want("delete builder")
		if err := accounts.Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		want("delete default")
		settle(t, authority)
		want("add default")

		if _, err := informer.Lister().ServiceAccounts("ci").Get("default"); err != nil {
			t.Errorf("the lister says %v, want the account", err)
		}
	})
}

// An informer that lost its watch, and whose last resourceVersion is forgotten,
// lists again.
func TestInformerAfterCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientset, authority := world(t)
		factory := informers.NewSharedInformerFactory(clientset, 0)
		informer := factory.Core().V1().Secrets()
		var seen log
		if _, err := informer.Informer().AddEventHandler(seen.handler()); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		factory.Start(stop)
		defer factory.Shutdown()
		defer close(stop)
		factory.WaitForCacheSync(stop)

		authority.Cluster.DropWatches()
		if _, err := authority.Cluster.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}}); err != nil {
			t.Fatal(err)
		}
		authority.Cluster.Compact()
		if !cache.WaitForCacheSync(stop, func() bool { return slices.Contains(seen.take(), "add password") }) {
			t.Error("the informer did not see the Secret")
		}
	})
}

// The controllers of this module work through the clientset, too.
func TestFromCoreV1(t *testing.T) {
	clientset, authority := world(t)
	clients := serviceaccount.FromCoreV1(clientset.CoreV1())
	controller, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
		Reader: clients, Client: clients, Accounts: []corev1.ServiceAccount{*account("", "builder")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Cluster.Settle(t.Context(), controller); err != nil {
		t.Fatal(err)
	}
	if _, err := clientset.CoreV1().ServiceAccounts("ci").Get(t.Context(), "builder", metav1.GetOptions{}); err != nil {
		t.Errorf("Get() = %v, want the account that the controller made", err)
	}
}

// A clientset is used by many at once.
func TestConcurrentUse(t *testing.T) {
	clientset, authority := world(t)
	ctx := t.Context()
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			for range 10 {
				if _, err := clientset.CoreV1().ServiceAccounts("ci").Create(ctx, account("ci", name), metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := authority.Cluster.ListServiceAccounts(ctx, "ci"); err != nil {
					t.Error(err)
				}
				if err := clientset.CoreV1().ServiceAccounts("ci").Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
