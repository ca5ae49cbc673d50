package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// Whatever workers and changes do, in whatever order: a key is with one worker at a
// time, work on it begins after each change, unless the queue is closed, a key that
// fails or is put off comes again, and nothing is remembered in the end.
func TestQueueAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			workers := 1 + random.IntN(5)
			q := newTestQueue(workers)
			keys := make([]sacontroller.Key, 0, 12)
			for n := range 1 + random.IntN(4) {
				for i := range 1 + random.IntN(3) {
					key := secretKey(fmt.Sprintf("ns-%d", n), i)
					if seed%3 > 0 {
						key.Tenant = fmt.Sprint("t-", (n+i)%int(seed%3))
					}
					keys = append(keys, key)
				}
			}
			type model struct {
				pending bool // work on it has to begin
				running bool
				served  int
			}
			var mu sync.Mutex // of the model and of random
			models := map[sacontroller.Key]*model{}
			for _, key := range keys {
				models[key] = &model{}
			}
			calm := false // every attempt succeeds
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						key, ok := q.Get()
						if !ok {
							return
						}
						mu.Lock()
						m := models[key]
						if m.running {
							t.Errorf("seed %d: two workers have %s", seed, key)
						}
						m.running, m.pending = true, false
						m.served++
						pause := time.Duration(random.IntN(4)) * 10 * time.Millisecond
						if random.IntN(50) == 0 {
							pause = 2 * time.Second // it hangs
						}
						end := random.IntN(4)
						if calm {
							end = 0
						}
						mu.Unlock()
						time.Sleep(pause)
						mu.Lock()
						m.running = false
						if end > 1 {
							m.pending = true
						}
						switch end {
						case 0, 1: // it succeeded, or is terminal
							q.Done(key)
						case 2:
							q.Fail(key)
						case 3:
							q.Later(key, pause)
						}
						mu.Unlock()
					}
				})
			}
			closeAt := -1
			if seed%4 == 0 {
				closeAt = random.IntN(200)
			}
			for step := range 200 {
				if step == closeAt {
					q.Close()
				}
				mu.Lock()
				key := keys[random.IntN(len(keys))]
				models[key].pending = true
				if random.IntN(3) == 0 {
					q.AddUnchanged(key)
				} else {
					q.Add(key)
				}
				pause := time.Duration(random.IntN(3)) * 5 * time.Millisecond
				mu.Unlock()
				time.Sleep(pause)
			}
			mu.Lock()
			calm = true
			mu.Unlock()
			time.Sleep(time.Hour)
			synctest.Wait()
			mu.Lock()
			for key, m := range models {
				if m.running || closeAt < 0 && m.pending {
					t.Errorf("seed %d: in the end %s is running: %v, due: %v, begun %d times", seed, key, m.running, m.pending, m.served)
				}
			}
			mu.Unlock()
			if closeAt < 0 && (len(q.items) > 0 || len(q.tenants) > 0 || q.running != 0 || len(q.turns[changed])+len(q.turns[again]) > 0) {
				t.Errorf("seed %d: remembered in the end: %d items, %d tenants, %d running, turns %v", seed, len(q.items), len(q.tenants), q.running, q.turns)
			}
			q.Close()
			wg.Wait()
		})
	}
}
