package compat

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestManagerEndures lets a serviceaccount-manager work against a real control plane
// that is in a storm most of the time, through a proxy that fails requests, loses
// answers and cuts watches. Each time that all is in order again it has as many
// goroutines, open files and bytes in its heap as after the first storms.
//
// SERVICEACCOUNT_LONG=1 makes it 20 minutes.
func TestManagerEndures(t *testing.T) {
	const warmUp, shortest = 3, 6
	until := time.Now()
	if os.Getenv("SERVICEACCOUNT_LONG") != "" {
		until = until.Add(20 * time.Minute)
	}
	m := newManagedCluster(t, 11)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	t.Setenv("GOGC", "10") // of the program: what is in its heap is in use
	replica := m.start(t, "manager", "--http-bind-address="+address)
	world, storm := m.world(), newStorm(m.client, 11)
	var most, last usage
	var starts int64
	for round := 0; round < shortest || time.Now().Before(until); round++ {
		m.proxy.rough.Store(true)
		storm.run(t, 100)
		m.proxy.cutWatches()
		m.proxy.rough.Store(false)
		waitFor(t, patience, "everything to be in order", world.disorder)
		waitFor(t, patience, "the metrics", func(ctx context.Context) []string {
			if last, err = scrape(ctx, address); err != nil {
				return []string{err.Error()}
			}
			return nil
		})
		t.Logf("round %d: %v", round, last)
		switch now := replica.starts.Load(); {
		case now != starts: // it lost the lease
			starts, most = now, last
			until = until.Add(time.Second)
		case round < warmUp:
			most = most.max(last)
		default:
			if limit := most.plus(15, 8, 4<<20); last.max(limit) != limit {
				t.Fatalf("round %d: %v, want no more than %v", round, last, limit)
			}
		}
	}
	replica.stop(t)
	t.Logf("%d changes, %d requests, %d of them failed on purpose; %d starts; in the end %v, at first %v",
		storm.done.Load(), m.proxy.requests.Load(), m.proxy.failures.Load(), starts, last, most)
}

// usage is what a program uses.
type usage struct{ goroutines, files, heap int }

func (u usage) max(v usage) usage {
	return usage{max(u.goroutines, v.goroutines), max(u.files, v.files), max(u.heap, v.heap)}
}

func (u usage) plus(goroutines, files, heap int) usage {
	return usage{u.goroutines + goroutines, u.files + files, u.heap + heap}
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %.1f MiB", u.goroutines, u.files, float64(u.heap)/(1<<20))
}

// scrape reads the usage of the program from its metrics.
func scrape(ctx context.Context, address string) (usage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return usage{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return usage{}, err
	}
	defer resp.Body.Close()
	found := map[string]int{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			if number, err := strconv.ParseFloat(value, 64); err == nil {
				found[name] = int(number)
			}
		}
	}
	u := usage{found["go_goroutines"], found["process_open_fds"], found["go_memstats_heap_alloc_bytes"]}
	if u.goroutines == 0 || u.files == 0 || u.heap == 0 {
		return usage{}, fmt.Errorf("the metrics of a Go program are missing: %v", u)
	}
	return u, lines.Err()
}
