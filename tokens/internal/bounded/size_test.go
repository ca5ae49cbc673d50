package bounded_test

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
)

// What objects weigh is what they take of the heap.
func TestSizeOf(t *testing.T) {
	list := func(n int, element string) string {
		return "[" + strings.Repeat(element+",", n-1) + element + "]"
	}
	const meta = `"metadata":{"name":"web-1","namespace":"default","uid":"f3e9f0a2-5f0e-4a52-8f7c-0c0a7c2d8e11","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app":"web","tier":"front"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"u","controller":true}]}`
	for name, tt := range map[string]struct {
		empty func() metav1.Object
		text  string
	}{
		"account":             {func() metav1.Object { return &corev1.ServiceAccount{} }, `{` + meta + `}`},
		"account of Secrets":  {func() metav1.Object { return &corev1.ServiceAccount{} }, `{` + meta + `,"secrets":` + list(500, `{"name":"a"}`) + `}`},
		"Secret":              {func() metav1.Object { return &corev1.Secret{} }, `{` + meta + `,"data":{"token":"` + strings.Repeat("YWFh", 4000) + `"}}`},
		"pod":                 {func() metav1.Object { return &corev1.Pod{} }, `{` + meta + `,"spec":{"containers":[{"name":"c","image":"registry/image"}],"nodeName":"n"}}`},
		"pod of containers":   {func() metav1.Object { return &corev1.Pod{} }, `{` + meta + `,"spec":{"containers":` + list(500, `{"name":"a"}`) + `}}`},
		"pod of environments": {func() metav1.Object { return &corev1.Pod{} }, `{` + meta + `,"spec":{"containers":[{"env":` + list(500, `{"name":"a","value":"b"}`) + `}]}}`},
		"annotations":         {func() metav1.Object { return &metav1.ObjectMeta{} }, `{"annotations":{"a":"` + strings.Repeat("x", 9000) + `"}}`},
		"unstructured":        {func() metav1.Object { return &unstructured.Unstructured{} }, `{"apiVersion":"batch/v1","kind":"Job",` + meta + `,"spec":{"x":` + list(300, `{"a":"b"}`) + `}}`},
	} {
		const copies = 200
		kept := make([]metav1.Object, copies)
		if err := json.Unmarshal([]byte(tt.text), tt.empty()); err != nil { // fills caches of encoding/json
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range kept {
			kept[i] = tt.empty()
			if err := json.Unmarshal([]byte(tt.text), kept[i]); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		held := float64(after.HeapAlloc-before.HeapAlloc) / copies
		got := float64(bounded.SizeOf(kept[0], math.MaxInt64))
		if got < held*0.75 || got > held*1.8 {
			t.Errorf("%s: SizeOf() = %v, want about %v", name, got, held)
		}
		runtime.KeepAlive(kept)
	}
}

// It stops at the limit, also for what has no end.
func TestSizeOfLimit(t *testing.T) {
	type ring struct {
		next *ring
		text string
	}
	endless := &ring{text: "a"}
	endless.next = endless
	var nothing *ring
	deep := func(n int, inside ...any) (value []any) {
		for value = inside; n > 1; n-- {
			value = []any{value}
		}
		return value
	}
	for name, tt := range map[string]struct {
		value any
		limit int64
		over  bool
	}{
		"nil":        {nil, 0, false},
		"typed nil":  {nothing, 100, false},
		"ring":       {endless, 1 << 30, true},
		"deep":       {deep(33), 1 << 30, false},
		"too deep":   {deep(33, nil), 1 << 30, true},
		"at limit":   {[]string{"a"}, 64, false},
		"above":      {[]string{"a"}, 63, true},
		"elements":   {[]string{"a"}, 48, true},
		"entries":    {map[string]any{"a": "b"}, 352, true},
		"no entries": {map[string]any{}, 352, false},
		"large":      {[]string{strings.Repeat("a", 1000)}, 100, true},
		"map":        {map[string]any{"a": []any{strings.Repeat("a", 1000)}}, 100, true},
		"array":      {[2]*string{new(strings.Repeat("a", 1000))}, 100, true},
		"small":      {[2]string{"a", "b"}, 100, false},
	} {
		if got := bounded.SizeOf(tt.value, tt.limit); got > tt.limit != tt.over {
			t.Errorf("%s: SizeOf() = %d, want more than %d: %v", name, got, tt.limit, tt.over)
		}
	}
}

// Numbers are exact: what there is, rounded up to 16 bytes for each allocation.
func TestSizeOfParts(t *testing.T) {
	type pair struct {
		a, b *[17]byte
	}
	for _, tt := range []struct {
		value any
		want  int64
	}{
		{nil, 0}, {byte(1), 16}, {[16]byte{}, 16}, {[17]byte{}, 32}, {"", 16}, {"a", 32}, {strings.Repeat("a", 17), 48},
		{(*int)(nil), 16}, {new(7), 32}, {pair{}, 16}, {pair{a: new([17]byte)}, 48}, {&pair{b: new([17]byte)}, 64},
		{[]byte(nil), 32}, {make([]byte, 1, 33), 32 + 48}, {[]string{"a", ""}, 32 + 32 + 16}, {[2]*int{nil, new(7)}, 16 + 16},
		{[]any{nil, "a"}, 32 + 32 + 16 + 16}, {[][1]*int{{new(7)}}, 32 + 16 + 16}, {time.Now(), 32}, {map[string]int(nil), 16},
		{map[byte]byte{}, 16 + 64 + 8*3 + 8}, {map[string]byte{"a": 1}, 16 + 64 + 8*18 + 16},
		{map[byte]string{1: "a", 2: "", 3: "c"}, 16 + 64 + 8*18 + 16 + 16},
		{map[byte]byte{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1}, 16 + 64 + 8*3 + 8},
		{map[byte]byte{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1}, 16 + 64 + 18*3 + 10},
	} {
		if got := bounded.SizeOf(tt.value, math.MaxInt64); got != tt.want {
			t.Errorf("SizeOf(%T %v) = %d, want %d", tt.value, tt.value, got, tt.want)
		}
	}
	type ring struct{ next *ring }
	endless := new(ring)
	endless.next = endless
	if got := bounded.SizeOf(endless, math.MaxInt64); got < 1<<60 {
		t.Errorf("SizeOf(what has no end) = %d, want more than anything can have", got)
	}
}
