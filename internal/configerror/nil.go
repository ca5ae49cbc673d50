package configerror

import "reflect"

// isNil reports whether value is nil or holds a nil pointer, map, func, chan or
// slice: calling a method of a typed nil panics later, where nobody knows why.
func isNil(value any) bool {
	if value == nil {
		return true
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice, reflect.Interface:
		return v.IsNil()
	}
	return false
}
