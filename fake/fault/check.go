package fault

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// must returns f, and panics if f can't fire.
func must(constructor string, f *Fault) *Fault {
	if problem := f.problem(); problem != "" {
		panic("fault: " + constructor + ": " + problem)
	}
	return f
}

// problem says why f can't fire, "" if it can.
func (f *Fault) problem() string {
	if f.decide == nil {
		if problem := problemOf(f.err); problem != "" {
			return problem
		}
	}
	calls := object.Calls()
	verbs := []string{}
	for _, c := range calls {
		if !slices.Contains(verbs, c.Verb) {
			verbs = append(verbs, c.Verb)
		}
	}
	if f.verb != "" && !slices.Contains(verbs, f.verb) {
		return fmt.Sprintf("no verb %q, want one of %s, or none for all", f.verb, strings.Join(verbs, ", "))
	}
	ofResource := slices.DeleteFunc(slices.Clone(calls), func(c object.Call) bool { return f.resource != "" && f.resource != c.Resource })
	if len(ofResource) == 0 {
		return fmt.Sprintf("no resource %q, want one of %s, or none for all", f.resource, strings.Join(object.Resources(), ", "))
	}
	possible := slices.DeleteFunc(ofResource, func(c object.Call) bool { return f.verb != "" && f.verb != c.Verb })
	if len(possible) == 0 {
		return fmt.Sprintf("the API has no %s of %s", f.verb, f.resource)
	}
	affected := slices.DeleteFunc(possible, func(c object.Call) bool { return f.decide == nil && !affects(f.err, c.Verb, c.Resource) })
	if len(affected) == 0 {
		return fmt.Sprintf("%q does nothing to a %s", f.err, target(f.verb, f.resource))
	}
	return f.problemOfPlace(affected)
}

// problemOfPlace says why none of calls can be about f's namespace and name.
func (f *Fault) problemOfPlace(calls []object.Call) string {
	if f.namespace == "" && f.name == "" {
		return ""
	}
	if f.namespace != "" {
		if messages := validation.IsDNS1123Label(f.namespace); len(messages) > 0 {
			return fmt.Sprintf("no namespace can be called %q: %s", f.namespace, messages[0])
		}
	}
	problem := fmt.Sprintf("no such call has the name %q", f.name)
	for _, c := range calls {
		switch {
		case f.namespace != "" && !c.Namespaced:
			problem = fmt.Sprintf("%s has no namespaces", target(f.verb, f.resource))
		case f.name != "" && !c.Named:
			problem = fmt.Sprintf("%s has no names", target(f.verb, f.resource))
		case f.name != "" && len(c.CheckName(f.name)) > 0:
			problem = fmt.Sprintf("no object can be called %q: %s", f.name, c.CheckName(f.name)[0])
		default:
			return ""
		}
	}
	return problem
}

// problemOf says why calls can't fail with err.
func problemOf(err error) string {
	if v := reflect.ValueOf(err); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "the error is nil, which is no failure"
	}
	_, ok := err.(*effect)
	if wrapped, is := errors.AsType[*effect](err); is && !ok {
		return fmt.Sprintf("the error wraps %q, which has an effect only if it is not wrapped", wrapped)
	}
	return ""
}
