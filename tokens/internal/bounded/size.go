package bounded

import (
	"math"
	"reflect"
	"time"
)

const (
	// maxDepth is above the depth of any API object and bounds the stack.
	maxDepth = 64
	// allocation is what the allocator rounds sizes up to, about.
	allocation = 16
	// mapOverhead is what a map needs besides its slots, of which it has at least
	// minSlots.
	mapOverhead, minSlots = 64, 8
)

// SizeOf returns about how many bytes of memory value holds on to, or more than
// limit if that is more: then it doesn't count on. What is reached twice counts
// twice.
func SizeOf(value any, limit int64) int64 {
	s := sizer{limit: min(limit, math.MaxInt64/2)} // one more is a number, too
	if value != nil {
		v := reflect.ValueOf(value)
		s.add(v.Type().Size())
		s.visit(v, 0)
	}
	return s.bytes
}

type sizer struct{ bytes, limit int64 }

func (s *sizer) add(n uintptr) { s.bytes += (int64(n) + allocation - 1) / allocation * allocation }

// visit adds what v refers to, but not v itself.
func (s *sizer) visit(v reflect.Value, depth int) {
	if depth > maxDepth {
		s.bytes = s.limit + 1 // it may be a cycle
	}
	if s.bytes > s.limit {
		return
	}
	depth++ // of what it refers to
	switch v.Kind() {
	case reflect.String:
		s.add(uintptr(v.Len()))
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			s.add(v.Elem().Type().Size())
			s.visit(v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return // its location is shared
		}
		for i := range v.NumField() {
			s.visit(v.Field(i), depth)
		}
	case reflect.Array:
		s.visitElements(v, depth)
	case reflect.Slice:
		s.add(uintptr(v.Cap()) * v.Type().Elem().Size())
		s.visitElements(v, depth)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		slots := uintptr(minSlots)
		if v.Len() > minSlots {
			slots = 2 * uintptr(v.Len())
		}
		s.add(mapOverhead + slots*(v.Type().Key().Size()+v.Type().Elem().Size()+1))
		for i := v.MapRange(); i.Next() && s.bytes <= s.limit; {
			s.visit(i.Key(), depth)
			s.visit(i.Value(), depth)
		}
	}
}

func (s *sizer) visitElements(v reflect.Value, depth int) {
	if v.Type().Elem().Kind() <= reflect.Complex128 {
		return // numbers refer to nothing
	}
	for i := 0; i < v.Len() && s.bytes <= s.limit; i++ {
		s.visit(v.Index(i), depth)
	}
}

var timeType = reflect.TypeFor[time.Time]()
