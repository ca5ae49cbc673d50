package object

import (
	"reflect"
	"strings"
)

// DropEmpty makes o what it is after its way to a server and back, which leaves
// out lists and maps with nothing in them: they are nil. It returns o.
func DropEmpty(o Object) Object {
	dropEmptyFields(reflect.ValueOf(o).Elem())
	return o
}

func dropEmptyFields(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			dropEmptyFields(v.Elem())
		}
	case reflect.Slice:
		switch v.Type().Elem().Kind() {
		case reflect.Struct, reflect.Pointer:
			for i := range v.Len() {
				dropEmptyFields(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if !field.CanSet() {
				continue
			}
			if (field.Kind() == reflect.Slice || field.Kind() == reflect.Map) && field.Len() == 0 {
				if !field.IsNil() && strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omitempty") {
					field.SetZero()
				}
				continue
			}
			dropEmptyFields(field)
		}
	case reflect.Map:
		// What is in a map is left out never: bytes that are nil come back.
		if data, ok := v.Interface().(map[string][]byte); ok {
			for key, value := range data {
				if value == nil {
					data[key] = []byte{}
				}
			}
		}
	}
}
