package bounded_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
)

// A flood of keys that are asked for once, or twice, evicts nothing in use, also
// nothing that came in during the flood.
func TestFloodEvictsNothingInUse(t *testing.T) {
	for asks := range 3 {
		c := bounded.New[string, int](1 << 20)
		for i := range 10_000 { // full, of what nobody uses
			c.Add(fmt.Sprint("before ", i), i, 100)
		}
		for i := range 100 {
			c.Add(fmt.Sprint("busy ", i), i, 100)
		}
		for i := range 20_000 {
			busy := fmt.Sprint("busy ", i%100)
			if _, ok := c.Get(busy); !ok {
				t.Fatalf("%s was evicted by flood %d, each asked for %d times", busy, i, asks)
			}
			flood := fmt.Sprint("flood ", i)
			c.Add(flood, i, 100)
			for range asks {
				c.Get(flood)
			}
		}
	}
}

// What a user of the cache no longer uses makes room, whatever it was before.
func TestUnusedMakesRoom(t *testing.T) {
	c := bounded.New[int, int](1 << 16)
	for range 3 {
		for i := range 1000 {
			c.Add(i, i, 50)
			c.Get(i)
		}
	}
	kept := 0
	for range 50 {
		for i := 5000; i < 5050; i++ {
			if _, ok := c.Get(i); ok {
				kept++
			} else {
				c.Add(i, i, 50)
			}
		}
	}
	if kept < 40*50 {
		t.Errorf("of what is used now %d of 2500 lookups were hits, want nearly all", kept)
	}
}

// The bytes of a model and of the cache are the same, and bounded.
func TestBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := bounded.New[int, *[]byte](1 << 20)
	sizes := map[int]int64{}
	var perEntry int64
	for i := range 1000 {
		key, size := random.IntN(500), random.Int64N(8<<10)
		if i == 0 {
			size = 0
		}
		if i > 0 && random.IntN(4) == 0 {
			c.Delete(key)
			delete(sizes, key)
		} else {
			c.Add(key, nil, size)
			sizes[key] = size
		}
		if i == 0 {
			perEntry = c.Bytes()
			if perEntry <= 0 || perEntry > 400 {
				t.Fatalf("an entry takes %d bytes, want some and few", perEntry)
			}
		}
		var want int64
		n := 0
		for key, size := range sizes {
			if _, ok := c.Get(key); !ok {
				delete(sizes, key) // evicted
				continue
			}
			want += size + perEntry
			n++
		}
		if c.Bytes() != want || c.Len() != n || want > 1<<20 {
			t.Fatalf("after %d steps %d entries of %d bytes, want %d of %d, and at most %d bytes", i, c.Len(), c.Bytes(), n, want, 1<<20)
		}
	}
	c = bounded.New[int, *[]byte](1000)
	c.Add(1, nil, 251)
	if c.Len() != 0 {
		t.Error("an entry of more than a quarter is kept")
	}
	c.Add(1, nil, 0)
	c.Add(1, nil, 251)
	if _, ok := c.Get(1); ok {
		t.Error("a value is kept after another one was set, which is too large")
	}
}

// In a full cache of eight or nine entries, two of them young: which one goes, and for whom.
func TestOrder(t *testing.T) {
	probe := bounded.New[int, int](1 << 20)
	probe.Add(0, 0, 0)
	entry := probe.Bytes() + 100
	for _, tt := range []struct {
		name  string
		full  int   // keys 1 to full are added
		use   []int // then these are used
		add   []int // then these are added
		lacks []int // of 1 to 9
	}{
		{"room for all", 8, nil, nil, []int{9}},
		{"the oldest that nobody uses", 8, nil, []int{9}, []int{1}},
		{"the oldest but one in use", 8, []int{1}, []int{9}, []int{2}},
		{"an old one, if the young are a quarter", 8, []int{1, 2, 3, 4, 5, 6, 7}, []int{9}, []int{1}},
		{"none, if eight are in use", 9, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{10}, nil},
		{"of a flood only the young", 8, []int{1, 2, 3, 4, 5, 6}, []int{11, 12, 13, 14, 9}, []int{7, 8}},
		{"not one in use that is set again", 8, []int{1}, []int{1, 9, 11, 12, 13, 14, 15, 16, 17}, []int{2, 3, 4, 5, 6, 7, 8, 9}},
		{"not an old one that is set again", 8, []int{1}, []int{9, 1, 11, 12, 13, 14, 15, 16, 17, 18}, []int{2, 3, 4, 5, 6, 7, 8, 9}},
	} {
		c := bounded.New[int, int](int64(tt.full) * entry)
		for i := range tt.full {
			c.Add(i+1, i, 100)
		}
		for _, key := range tt.use {
			c.Get(key)
		}
		for _, key := range tt.add {
			c.Add(key, key, 100)
		}
		var lacks []int
		for key := 1; key <= 9; key++ {
			if _, ok := c.Get(key); !ok {
				lacks = append(lacks, key)
			}
		}
		if !slices.Equal(lacks, tt.lacks) || c.Bytes() > int64(tt.full)*entry {
			t.Errorf("%s: there is no %v, want no %v", tt.name, lacks, tt.lacks)
		}
	}
	for removed := 1; removed <= 3; removed++ { // the oldest, one in the middle, the newest
		c := bounded.New[int, int](8 * entry)
		for key := 1; key <= 3; key++ {
			c.Add(key, key, 100)
		}
		c.Delete(removed)
		for key := 4; key <= 20; key++ {
			c.Add(key, key, 100)
			if got := c.Len(); got != min(key-1, 8) {
				t.Fatalf("without %d there are %d entries after %d", removed, got, key)
			}
		}
	}
	c := bounded.New[int, int](4 * entry)
	c.Add(0, 0, 100)
	c.Delete(0)
	c.Add(1, 1, 100)
	c.Add(2, 2, 101)
	if _, ok := c.Get(1); !ok || c.Len() != 1 {
		t.Errorf("there are %d entries, want the one that takes a quarter, and not the one that takes more", c.Len())
	}
}

// The bound is that of the memory.
func TestMemory(t *testing.T) {
	const bound = 4 << 20
	for _, size := range []int{0, 100, 10_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := bounded.New[[32]byte, []byte](bound)
		for i := range 4 * bound / (size + 200) {
			c.Add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, make([]byte, size), int64(size))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > bound*5/4 || c.Bytes() > bound || c.Bytes() < bound*9/10 {
			t.Errorf("entries of %d bytes: %d bytes of memory, %d counted, want up to %d of both", size, held, c.Bytes(), bound)
		}
		runtime.KeepAlive(c)
	}
}

// One that adds more, or asks a lot, takes a constant number of steps: it evicts
// at most as much as it adds, and a few besides are passed over.
func TestAddIsBounded(t *testing.T) {
	c := bounded.New[int, int](1 << 22)
	for range 2 {
		for i := range 20_000 {
			c.Add(i, i, 0)
			c.Get(i)
		}
	}
	n := c.Len()
	for i := range 1000 { // everything is in use: one by one
		c.Add(-1-i, i, 0)
		if was := n; c.Len() < was-1 || c.Len() > was+1 {
			t.Fatalf("one Add changed %d entries to %d", was, c.Len())
		}
		n = c.Len()
	}
}

func TestConcurrentUse(t *testing.T) {
	c := bounded.New[int, int](10_000)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				switch key := i * (w + 1) % 97; i % 5 {
				case 0:
					c.Delete(key)
				case 1:
					c.Add(key, key, int64(i%50))
				default:
					if v, ok := c.Get(key); ok && v != key {
						t.Errorf("Get(%d) = %d", key, v)
					}
				}
			}
		})
	}
	wg.Wait()
	if c.Bytes() > 10_000 {
		t.Errorf("%d bytes, want at most 10,000", c.Bytes())
	}
}

// A miss on a full cache costs the same, however large it is.
func BenchmarkAddToFullCache(b *testing.B) {
	for _, entries := range []int{1000, 65_536} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			c := bounded.New[int, int](int64(entries) * 200)
			for i := range 2 * entries {
				c.Add(-i, i, 0)
				c.Get(-i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Add(i, i, 0)
			}
		})
	}
}
