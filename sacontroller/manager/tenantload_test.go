package manager_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tenant"
)

// Many tenants at once, each with accounts and their filled Secrets, in namespaces of ten:
// each costs the same number of requests, however many there are, and one that is busy, or
// whose server hangs, doesn't count for another one. It prints what a tenant costs. The
// long form has as many as SERVICEACCOUNT_TENANTS says, with 100 accounts each.
func TestManyTenants(t *testing.T) {
	tenants, accounts := 20, 20
	if n, err := strconv.Atoi(os.Getenv("SERVICEACCOUNT_TENANTS")); err == nil {
		tenants, accounts = n, 100
	}
	var hangs atomic.Bool
	var busyCalls atomic.Int64
	h := newHouse(t, func(ctx context.Context) error {
		switch tenant.Of(ctx) {
		case "hangs":
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
		case "busy":
			busyCalls.Add(1)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { h.done <- h.Run(ctx) }()

	memory := func() (heap, stack float64, goroutines int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc), float64(m.StackInuse), runtime.NumGoroutine()
	}
	servers := make([]*server, tenants)
	for i := range servers {
		servers[i] = filled(t, accounts)
	}
	heap, stack, goroutines := memory()
	began := time.Now()
	for i, s := range servers {
		h.join(t, fmt.Sprint("tenant-", i), s)
	}
	for i := range servers {
		waitFor(t, func() bool { return h.TenantReady(fmt.Sprint("tenant-", i)) == nil })
	}
	all := time.Since(began)
	reads := map[string]int{}
	for _, s := range servers {
		for _, action := range s.client.Actions() {
			if verb := action.GetVerb(); verb == "list" || verb == "watch" {
				reads[verb]++
			}
		}
		s.client.ClearActions()
		if writes := s.Writes(); len(writes) > 0 {
			t.Errorf("writes are %v, want none for what is filled", writes)
		}
		s.ClearActions()
	}
	if reads["list"] > 3*tenants || reads["watch"] != 3*tenants {
		t.Errorf("%d tenants cost %v, want 3 lists and 3 watches of each", tenants, reads)
	}
	heap1, stack1, goroutines1 := memory()
	per := func(n float64) float64 { return n / float64(tenants) }
	t.Logf("%d tenants with %d accounts and filled Secrets each: %.0f KiB heap, %.0f KiB stack and %d goroutines of each; served in %v, %v each",
		tenants, accounts, per(heap1-heap)/1024, per(stack1-stack)/1024, (goroutines1-goroutines)/tenants, all.Round(time.Millisecond), (all / time.Duration(tenants)).Round(time.Microsecond))

	var fresh []time.Duration
	for i := range 20 {
		s := newServer(active("ns"))
		began := time.Now()
		h.join(t, fmt.Sprint("fresh-", i), s)
		waitFor(t, func() bool { return hasAccount(t, s, "ns") })
		fresh = append(fresh, time.Since(began))
	}
	t.Logf("a new tenant's first account: %s", spread(fresh))

	quiet, made := servers[0], 0
	latency := func(name string) {
		var took []time.Duration
		for range 50 {
			made++
			namespace := fmt.Sprint("made-", made)
			began := time.Now()
			if _, err := quiet.CreateNamespace(ctx, active(namespace)); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return hasAccount(t, quiet, namespace) })
			took = append(took, time.Since(began))
		}
		t.Logf("a new namespace's account of one tenant, while %s: %s", name, spread(took))
	}
	latency("all are idle")

	busy := filled(t, 0)
	h.join(t, "busy", busy)
	storm, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; storm.Err() == nil; i++ {
			busy.CreateNamespace(ctx, active(fmt.Sprint("storm-", i))) //nolint:errcheck // noise
		}
	}()
	latency("another one makes namespaces")
	end()
	<-done
	t.Logf("the other one had %d calls", busyCalls.Load())

	hanging := filled(t, accounts)
	hangs.Store(true)
	h.join(t, "hangs", hanging)
	waitFor(t, func() bool { return h.TenantReady("hangs") == nil })
	for i := range 100 {
		if _, err := hanging.CreateNamespace(ctx, active(fmt.Sprint("hang-", i))); err != nil {
			t.Fatal(err)
		}
	}
	latency("another one hangs")

	for i := range servers {
		if err := h.Leave(ctx, fmt.Sprint("tenant-", i)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(servers)
}

// filled returns a server that has accounts with a filled token Secret each.
func filled(t *testing.T, accounts int) *server {
	t.Helper()
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + namespace + "-" + name)}
	}
	var objects []kruntime.Object
	for i := range accounts {
		ns, name := fmt.Sprint("ns-", i/10), fmt.Sprint("account-", i%10)
		if i%10 == 0 {
			objects = append(objects, active(ns))
			name = "default"
		}
		account := &corev1.ServiceAccount{ObjectMeta: meta(ns, name)}
		secret := &corev1.Secret{ObjectMeta: meta(ns, name+"-token"), Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{
			"ca.crt": []byte("CA Data"), "namespace": []byte(ns), "token": bytes.Repeat([]byte("t"), 900),
		}}
		secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: name, corev1.ServiceAccountUIDKey: string(account.UID)}
		objects = append(objects, account, secret)
	}
	return newServer(objects...)
}

func hasAccount(t *testing.T, s *server, namespace string) bool {
	_, err := s.GetServiceAccount(t.Context(), namespace, "default")
	return err == nil
}

// waitFor waits for what takes milliseconds, for minutes if it must.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it takes minutes")
		}
	}
}

func spread(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("median %v, 90 %% %v, longest %v", took[len(took)/2].Round(10*time.Microsecond), took[len(took)*9/10].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
}
