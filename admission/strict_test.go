package admission_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/podsecrets"
)

// Strict and mirror pods: every field that names a Secret, also one that is new in
// k8s.io/api (the test of podsecrets finds those), is limited.
func TestEveryFieldThatNamesASecretIsLimited(t *testing.T) {
	// A05
	paths := secretPaths(reflect.TypeFor[corev1.PodSpec](), "", nil)
	cfg := admission.Config{LimitSecretReferences: true, Strict: true}
	names := 0
	for _, path := range paths {
		in := pod()
		set(reflect.ValueOf(&in.Spec).Elem(), strings.Split(path, "."))
		isName := !podsecrets.Visit(&in.Spec, podsecrets.AllSources, func(r podsecrets.Reference) bool { return r.Name != "found" })
		if isName {
			names++
		}
		mirrored := in.DeepCopy()
		mirror(mirrored)
		if denied := admission.Check(cfg, create(mirrored), nil) != nil; denied != isName {
			t.Errorf("%s: denied in a mirror pod is %v, want %v", path, denied, isName)
		}
		runsAs("a")(in)
		// Invariant P3: what strict mode allows, the account lists.
		if denied := admission.Check(cfg, create(in), account("a")) != nil; isName && !denied {
			t.Errorf("%s: strict mode allows it", path)
		}
		if err := admission.Check(cfg, create(in), account("a", lists("found", ""), pulls("found", ""))); err != nil {
			t.Errorf("%s: %v, though the account lists it", path, err)
		}
	}
	if names < 15 {
		t.Errorf("%d fields name Secrets, want at least 15", names)
	}
}

// secretPaths returns the paths of the leaves below typ whose path has the word
// secret in it.
func secretPaths(typ reflect.Type, path string, seen []reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return secretPaths(typ.Elem(), path, seen)
	case reflect.Struct:
		if slices.Contains(seen, typ) {
			return nil
		}
		var found []string
		for field := range typ.Fields() {
			if !field.IsExported() || field.Type == reflect.TypeFor[corev1.PersistentVolumeClaimTemplate]() {
				continue
			}
			below := path
			if !field.Anonymous {
				below = strings.TrimPrefix(path+"."+field.Name, ".")
			}
			found = append(found, secretPaths(field.Type, below, append(seen, typ))...)
		}
		return found
	}
	if strings.Contains(strings.ToLower(path), "secret") {
		return []string{path}
	}
	return nil
}

// set makes what is on the way to the leaf at path below v, and names it "found" if
// it is a text.
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
		v.SetString("found")
	}
}
