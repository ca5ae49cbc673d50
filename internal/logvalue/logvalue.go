// Package logvalue renders the Events of the library for log/slog: with units, without
// what is empty, and without values that may hold a secret. It writes no log.
package logvalue

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"time"
	"unicode"
)

// Of returns a group with the exported fields of event, a struct. Empty ones are left
// out, but for bools; errors are their text, durations have a unit, and of a panic there
// is its type, or what the runtime says.
func Of(event any) slog.Value {
	v := reflect.ValueOf(event)
	var attrs []slog.Attr
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || v.Field(i).IsZero() && field.Type.Kind() != reflect.Bool {
			continue
		}
		name := lower(field.Name)
		switch value := v.Field(i).Interface().(type) {
		case []byte: // only stacks are
			attrs = append(attrs, slog.String(name, string(value)))
		default:
			if field.Name == "Panic" {
				attrs = append(attrs, slog.String(name, panicText(value)))
				continue
			}
			attrs = append(attrs, slog.Attr{Key: name, Value: valueOf(value)})
		}
	}
	return slog.GroupValue(attrs...)
}

// Few returns the first eight of list, and how many more there are: a client may send any
// number of audiences.
func Few(list []string) []string {
	const shown = 8
	if len(list) <= shown {
		return list
	}
	return append(slices.Clone(list[:shown]), fmt.Sprintf("and %d more", len(list)-shown))
}

func panicText(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", value)
}

func valueOf(value any) slog.Value {
	switch value := value.(type) {
	case slog.LogValuer:
		return slog.AnyValue(value)
	case time.Time:
		return slog.TimeValue(value)
	case error:
		return slog.StringValue(value.Error())
	case fmt.Stringer:
		return slog.StringValue(value.String())
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer:
		return valueOf(v.Elem().Interface())
	case reflect.Struct:
		return Of(value)
	case reflect.Slice:
		all := make([]string, v.Len())
		for i := range all {
			all[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return slog.AnyValue(all)
	}
	return slog.AnyValue(value)
}

// lower returns the name of a field as names are in logs: HTTPStatus is httpStatus.
func lower(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}
