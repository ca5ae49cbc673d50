package fairqueue

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

func tenantKey(tenant, namespace string, i int) sacontroller.Key {
	key := secretKey(namespace, i)
	key.Tenant = tenant
	return key
}

// 50,000 keys in 1,000 namespaces of one tenant hold up a key of another by one turn,
// whatever made them due.
func TestQueueTenantsTakeTurns(t *testing.T) {
	for _, failed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := newTestQueue(1)
			const n = 50_000
			for i := range n {
				q.Add(tenantKey("a", fmt.Sprint("ns-", i%1000), i))
			}
			if failed {
				for range n {
					key, _ := q.Get()
					q.Later(key, time.Second)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			q.Add(tenantKey("b", "ns-0", 0))
			q.Add(tenantKey("c", "ns-0", 0))
			turns := map[string]int{}
			for turn := range 6 {
				key, _ := q.Get()
				if _, ok := turns[key.Tenant]; !ok {
					turns[key.Tenant] = turn
				}
				q.Done(key)
			}
			for _, tenant := range []string{"b", "c"} {
				if turn, ok := turns[tenant]; !ok || turn > 4 {
					t.Errorf("after failures: %v: the turns are %v, want one of %s among the first", failed, turns, tenant)
				}
			}
			q.Close()
		})
	}
}

// A tenant leaves workers to others, and a namespace to the others of its tenant. Once
// its calls hang it has two workers of its own, until a minute after the last such call.
func TestQueueOfAHangingTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := new(sums)
		q := New(8, counted.metrics())
		var hung []string
		q.Hung = func(tenant string) { hung = append(hung, tenant) }
		got := func() (keys []sacontroller.Key) {
			q.mu.Lock()
			defer q.mu.Unlock()
			for {
				it := q.next()
				if it == nil {
					return keys
				}
				q.begin(it)
				keys = append(keys, it.key)
			}
		}
		for i := range 20 {
			q.Add(tenantKey("red", "a", i))
		}
		first := got()
		if len(first) != 3 {
			t.Errorf("%d of 8 workers are with one namespace of a tenant, want 3", len(first))
		}
		q.Add(tenantKey("red", "b", 0))
		q.Add(tenantKey("red", "c", 0))
		first = append(first, got()...)
		if len(first) != 4 {
			t.Errorf("%d of 8 workers are with one tenant, want 4", len(first))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if q.running != 0 || len(hung) != 1 || !q.Hanging("red") {
			t.Errorf("%d calls that hang count, and %q are told, want none and red, once", q.running, hung)
		}
		if keys := got(); len(keys) > 0 {
			t.Errorf("the tenant gets %v as well", keys)
		}
		for i := range 20 {
			q.Add(tenantKey("blue", fmt.Sprint("ns-", i), 0))
		}
		blue := got()
		if len(blue) != 4 || blue[0].Tenant != "blue" {
			t.Errorf("another tenant gets %v, want half of all workers", blue)
		}
		for _, key := range append(first, blue...) {
			q.Done(key)
		}
		for _, namespace := range []string{"d", "e", "f"} {
			q.Add(tenantKey("red", namespace, 0))
		}
		var own []sacontroller.Key
		for _, key := range got() {
			if key.Tenant == "red" {
				own = append(own, key)
			} else {
				q.Done(key)
			}
		}
		if len(own) != 2 {
			t.Errorf("the tenant whose calls have hung gets %d workers, want 2", len(own))
		}
		for _, key := range own {
			q.Done(key)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if keys := got(); len(keys) < 3 || q.running != len(keys) {
			t.Errorf("a minute later it gets %d workers, of which %d count", len(keys), q.running)
		}
		q.Close()
	})
}

// Nothing is left of a tenant that leaves: neither keys that wait nor those that are
// worked on or to be tried again. It can come back.
func TestQueueOfATenantThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, counted := newTestQueue(8), new(sums)
		q.metrics = counted.metrics()
		served := 0
		for i := range 20 {
			q.Add(tenantKey("red", fmt.Sprint("ns-", i), i))
			q.Add(tenantKey("blue", fmt.Sprint("ns-", i), i))
		}
		var red []sacontroller.Key
		for len(red) < 3 {
			key, _ := q.Get()
			if key.Tenant == "red" {
				red = append(red, key)
			} else {
				q.Done(key)
				served++
			}
		}
		q.Fail(red[0])
		q.Add(red[1]) // again, while it is worked on
		left := q.Leave("red")
		q.Add(tenantKey("red", "late", 0))
		select {
		case <-left:
			t.Error("it has left while a key is worked on")
		default:
		}
		q.Fail(red[1])
		select {
		case <-left:
			t.Error("it has left while the last key is worked on")
		default:
		}
		q.Later(red[2], time.Second)
		<-left
		if q.tenants["red"] != nil || len(q.items) != 20-served || q.Len() != 20-served || counted.depth != float64(20-served) {
			t.Errorf("%d items are left, %d due, depth %v, of red: %v; want the %d of another tenant", len(q.items), q.Len(), counted.depth, q.tenants["red"], 20-served)
		}
		time.Sleep(time.Hour)
		q.Forgive("red")
		q.Add(red[0])
		for range 30 {
			key, _ := q.Get()
			q.Done(key)
			if key == red[0] {
				break
			}
			if key.Tenant == "red" {
				t.Errorf("%v comes again", key)
			}
			if len(q.items) == 0 {
				t.Error("the key of a tenant that has come back doesn't come")
				break
			}
		}
		for len(q.items) > 0 {
			key, _ := q.Get()
			q.Done(key)
		}
		if len(q.tenants) != 0 || len(q.left) != 0 || q.running != 0 {
			t.Errorf("%d tenants, %d that leave, %d running are left", len(q.tenants), len(q.left), q.running)
		}
		q.Close()
		<-q.Leave("red")
	})
}

// Calls hang from the first second to the end, and for a minute after that; those that end
// in that second don't, nor those of no tenant.
func TestQueueFindsHangingTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		hung := make(chan string, 8) // told by one goroutine after another
		q.Hung = func(tenant string) { hung <- tenant }
		none, red, blue := secretKey("a", 0), tenantKey("red", "a", 0), tenantKey("blue", "a", 0)
		q.Add(none)
		q.Get()
		time.Sleep(2 * time.Second)
		q.Done(none)

		q.Add(red)
		q.Get()
		q.mu.Lock() // what finds that it hangs comes as the work ends
		time.Sleep(time.Second)
		q.items[red].patience.Stop()
		q.items[red].patience = nil
		q.mu.Unlock()
		synctest.Wait()
		if q.Hanging("red") || q.Hanging("") || len(hung) > 0 {
			t.Errorf("%d are told to hang, want none", len(hung))
		}
		for range 3 { // each of which it is worked on in time
			q.Add(red)
			q.Done(red)
			q.Get()
			if n := q.tenants["red"].hung; n != 0 {
				t.Errorf("%d calls hang, want none", n)
			}
		}
		q.Add(blue)
		got := make(chan sacontroller.Key, 1)
		go func() { key, _ := q.Get(); got <- key }()
		synctest.Wait()
		if len(got) != 0 {
			t.Error("another tenant has a worker, and there is only one")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != 1 || len(hung) != 1 || <-hung != "red" {
			t.Errorf("another tenant has %d workers, and %d more hang, want one, and red alone", len(got), len(hung))
		}
		time.Sleep(10 * time.Minute)
		if !q.Hanging("red") {
			t.Error("calls that don't end hang no longer")
		}
		q.Add(red)
		q.Done(red) // is due again, so that it is remembered
		if q.Hanging("red") {
			t.Error("calls that ended ten minutes after they began to hang still do")
		}
		q.Close()
	})
}

// A tenant without work has left at once, and one with work later; whoever comes back
// before that is worked on again.
func TestQueueLeave(t *testing.T) {
	q := newTestQueue(8)
	gone := func(left <-chan struct{}) bool {
		select {
		case <-left:
			return true
		default:
			return false
		}
	}
	key := tenantKey("red", "a", 1)
	q.Add(key)
	if !gone(q.Leave("red")) || !gone(q.Leave("blue")) {
		t.Error("a tenant without work hasn't left")
	}
	q.Forgive("red")
	q.Add(key)
	q.Get()
	other := tenantKey("red", "a", 2)
	q.Add(other)
	left := q.Leave("red")
	if gone(left) {
		t.Error("a tenant has left while a key is worked on")
	}
	q.Forgive("red")
	q.Add(other)
	if q.Len() != 1 {
		t.Fatalf("%d keys are due, want the one", q.Len())
	}
	if got, _ := q.Get(); got != other {
		t.Errorf("Get() = %v, want %v", got, other)
	}
	q.Done(key)
	q.Add(tenantKey("red", "b", 3))
	if q.items[other].namespace.tenant != q.tenants["red"] || len(q.tenants) != 1 || q.tenants["red"].running != 1 {
		t.Errorf("the keys of one tenant don't share it: %+v", q.tenants)
	}
	q.Done(other)
	if q.tenants["red"] == nil || q.tenants["red"].running != 0 || q.Len() != 1 {
		t.Errorf("%d keys are due of the tenants %+v", q.Len(), q.tenants)
	}
}

// Tenants take turns, and the namespaces of each do, whoever has more keys.
func TestQueueTurns(t *testing.T) {
	q := newTestQueue(1)
	for i := range 3 {
		q.Add(tenantKey("red", "a", i))
	}
	for i := range 3 {
		q.Add(tenantKey("blue", "a", i))
	}
	q.Add(tenantKey("blue", "b", 7))
	q.Add(tenantKey("blue", "b", 8))
	var got []string
	for range 8 {
		key, _ := q.Get()
		q.Done(key)
		got = append(got, key.Tenant+" "+key.Namespace+" "+key.Name)
	}
	want := []string{"red a s-0", "blue a s-0", "red a s-1", "blue b s-7", "red a s-2", "blue a s-1", "blue b s-8", "blue a s-2"}
	if !slices.Equal(got, want) {
		t.Errorf("the keys come as %q, want %q", got, want)
	}
}
