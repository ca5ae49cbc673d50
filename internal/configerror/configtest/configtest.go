// Package configtest checks constructors: each finds all mistakes in its config, and
// panics at none.
package configtest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A Constructor is one with a config struct.
type Constructor struct {
	Config reflect.Type
	new    func(config reflect.Value) error
}

// Of returns a Constructor.
func Of[C, T any](construct func(C) (T, error)) Constructor {
	return Constructor{reflect.TypeFor[C](), func(config reflect.Value) error {
		_, err := construct(config.Interface().(C))
		return err
	}}
}

// Check spoils all fields of a config that can be wrong in every config, and checks that
// there is a mistake for each. An interface, or the only element of a list of them, is
// one of nils, which must be nil pointers, and a number is -1, also in structs of the
// config, and in those of its package that it points to. Mistakes in a config in it are
// its own.
func (c Constructor) Check(t *testing.T, nils ...any) {
	t.Helper()
	t.Run(c.Config.String(), func(t *testing.T) {
		s := spoiler{t, c.Config.PkgPath(), nils, map[string]map[string]bool{}}
		config := reflect.New(c.Config).Elem()
		s.spoil(config)
		err := c.new(config)
		for _, mistake := range mistakesIn(err) {
			wrong, ok := s.wrong[mistake.Config]
			if !ok || mistake.Problem == "" {
				t.Errorf("a mistake in %q, %q: %v", mistake.Config, mistake.Field, mistake)
			}
			delete(wrong, mistake.Field)
		}
		for config, wrong := range s.wrong {
			for field := range wrong {
				t.Errorf("no mistake in %s.%s; the error is %v", config, field, err)
			}
		}
	})
}

type spoiler struct {
	t     *testing.T
	pkg   string // of the config
	nils  []any
	wrong map[string]map[string]bool // the fields that are, by the config
}

// spoil spoils the fields of config.
func (s *spoiler) spoil(config reflect.Value) {
	wrong := map[string]bool{}
	s.wrong[config.Type().String()] = wrong
	s.spoilStruct(config, "", wrong)
}

// spoilStruct is spoil for a struct whose fields have names that begin with prefix.
func (s *spoiler) spoilStruct(config reflect.Value, prefix string, wrong map[string]bool) {
	for i := range config.NumField() {
		field, name := config.Field(i), prefix+config.Type().Field(i).Name
		if !config.Type().Field(i).IsExported() {
			continue
		}
		switch kind := field.Type(); kind.Kind() {
		case reflect.Struct:
			if strings.HasSuffix(kind.Name(), "Config") {
				s.spoil(field)
			} else {
				s.spoilStruct(field, name+".", wrong)
			}
		case reflect.Int, reflect.Int32, reflect.Int64:
			field.SetInt(-1)
			wrong[name] = true
		case reflect.Interface:
			field.Set(s.nil(kind))
			wrong[name] = true
		case reflect.Slice:
			if kind.Elem().Kind() == reflect.Interface {
				field.Set(reflect.Append(reflect.Zero(kind), s.nil(kind.Elem())))
				wrong[fmt.Sprintf("%s[0]", name)] = true
			}
		case reflect.Pointer:
			if kind.Elem().Kind() == reflect.Struct && kind.Elem().PkgPath() == s.pkg && hasFields(kind.Elem()) {
				field.Set(reflect.New(kind.Elem()))
				s.spoilStruct(field.Elem(), name+".", wrong)
			}
		}
	}
}

// hasFields reports whether a struct is one that users fill in.
func hasFields(kind reflect.Type) bool {
	for i := range kind.NumField() {
		if kind.Field(i).IsExported() {
			return true
		}
	}
	return false
}

// nil returns a nil pointer that implements kind.
func (s *spoiler) nil(kind reflect.Type) reflect.Value {
	for _, value := range s.nils {
		if reflect.TypeOf(value).Implements(kind) {
			return reflect.ValueOf(value)
		}
	}
	s.t.Fatalf("this test has no nil pointer that is a %s", kind)
	return reflect.Value{}
}

// mistakesIn returns the mistakes that err joins.
func mistakesIn(err error) (mistakes []*configerror.Error) {
	switch err := err.(type) {
	case *configerror.Error:
		return []*configerror.Error{err}
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			mistakes = append(mistakes, mistakesIn(err)...)
		}
	}
	return mistakes
}
