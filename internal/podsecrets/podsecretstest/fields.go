// Package podsecretstest finds the fields of a pod that may name a Secret, also those
// that are new in k8s.io/api, for tests that none of them is overlooked.
package podsecretstest

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Found is the value of the texts in what [Fields] returns.
const Found = "found"

// A Field is a field of a pod's spec that has the word secret in its path and is no
// struct: "Volumes.Secret.SecretName", for example.
type Field struct {
	Path string
	Text bool // it is a text, with the value Found
}

// Fields returns each field, and a spec that has what is on the way to it.
func Fields() iter.Seq2[Field, *corev1.PodSpec] {
	return func(yield func(Field, *corev1.PodSpec) bool) {
		for _, f := range fields(reflect.TypeFor[corev1.PodSpec](), "", nil) {
			spec := new(corev1.PodSpec)
			set(reflect.ValueOf(spec).Elem(), strings.Split(f.Path, "."))
			if !yield(f, spec) {
				return
			}
		}
	}
}

func fields(typ reflect.Type, path string, seen []reflect.Type) []Field {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return fields(typ.Elem(), path, seen)
	case reflect.Struct:
		if slices.Contains(seen, typ) {
			return nil
		}
		var found []Field
		for field := range typ.Fields() {
			// Claims refer to Secrets through other objects.
			if !field.IsExported() || field.Type == reflect.TypeFor[corev1.PersistentVolumeClaimTemplate]() {
				continue
			}
			below := path
			if !field.Anonymous {
				below = strings.TrimPrefix(path+"."+field.Name, ".")
			}
			found = append(found, fields(field.Type, below, append(seen, typ))...)
		}
		return found
	}
	if strings.Contains(strings.ToLower(path), "secret") {
		return []Field{{path, typ.Kind() == reflect.String}}
	}
	return nil
}

// set creates what is on the way to the field at path below v, which becomes Found
// if it is a text.
func set(v reflect.Value, path []string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), path)
	case reflect.Struct:
		set(v.FieldByName(path[0]), path[1:])
	case reflect.String:
		v.SetString(Found)
	}
}
