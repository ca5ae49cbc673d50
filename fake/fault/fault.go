package fault

import (
	"cmp"
	"fmt"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// A Fault says which calls fail, and how. It has no state: injected twice, it
// counts twice. It is safe for concurrent use if the functions it was made of
// are.
//
// The constructors panic if the Fault could never fire, as a test with such a
// Fault would pass without testing anything: the API has no such call, the error
// is nil or has no effect on the call, or the count is not positive.
type Fault struct {
	description     string
	verb, resource  string         // "" for all
	namespace, name string         // "" for all
	match           func(Op) bool  // nil for all
	from, to        int            // which of these calls fail, counted from 1; 0 for no limit
	err             error          // what they fail with, or
	decide          func(Op) error // what says it
	all             []*Fault       // of Any, and then nothing else
}

// Nth fails the nth call, counted from 1, of verb on resource. An empty verb or
// resource stands for all; "pods/status" names a subresource.
func Nth(n int, verb, resource string, err error) *Fault {
	return counted("Nth", fmt.Sprintf("call %d of %s", n, target(verb, resource)), n, n, verb, resource, err)
}

// First fails the first n calls of verb on resource; see [Nth].
func First(n int, verb, resource string, err error) *Fault {
	return counted("First", fmt.Sprintf("first %d of %s", n, target(verb, resource)), 1, n, verb, resource, err)
}

func counted(constructor, description string, from, to int, verb, resource string, err error) *Fault {
	if to < 1 {
		panic(fmt.Sprintf("fault: %s(%d, %q, %q): no call has the number %[2]d, want at least 1", constructor, to, verb, resource))
	}
	return must(fmt.Sprintf("%s(%d, %q, %q)", constructor, to, verb, resource),
		&Fault{description: description, verb: verb, resource: resource, from: from, to: to, err: err})
}

// On fails every call of verb on resource; see [Nth].
func On(verb, resource string, err error) *Fault {
	return must(fmt.Sprintf("On(%q, %q)", verb, resource),
		&Fault{description: "every " + target(verb, resource), verb: verb, resource: resource, err: err})
}

// StaleReads makes every get and list return the state of n revisions ago, like a
// cache that never catches up. Writes are not affected. A controller that retries on
// conflicts doesn't settle with it: use [Stale] with [On] or [First] for a few reads.
func StaleReads(n int) *Fault {
	return must(fmt.Sprintf("StaleReads(%d)", n), &Fault{
		description: "every read", err: Stale(n),
		match: func(op Op) bool { return op.Verb == "get" || op.Verb == "list" },
	})
}

// If fails every call for which match returns true. The description is shown
// in actions and failure messages. Whether match can be true is not checked: see
// [Set.Unfired].
func If(description string, match func(Op) bool, err error) *Fault {
	constructor := fmt.Sprintf("If(%q)", description)
	if match == nil {
		panic("fault: " + constructor + ": match is nil")
	}
	return must(constructor, &Fault{description: description, match: match, err: err})
}

// Func fails the calls for which decide returns an error, with that error. The
// description is shown in actions and failure messages. An effect that the call
// can't have, like [Stale] for a delete, is ignored.
func Func(description string, decide func(Op) error) *Fault {
	if decide == nil {
		panic(fmt.Sprintf("fault: Func(%q): decide is nil", description))
	}
	return &Fault{description: description, decide: decide}
}

// Any combines faults, as if each had been injected alone, in this order.
func Any(faults ...*Fault) *Fault {
	if len(faults) == 0 {
		panic("fault: Any(): no faults")
	}
	combined := &Fault{}
	for i, f := range faults {
		if f == nil {
			panic(fmt.Sprintf("fault: Any: fault %d is nil", i))
		}
		combined.all = append(combined.all, f.parts()...)
	}
	return combined
}

// Of returns a copy of f for those of its calls only that are on the object called name in
// namespace; an empty name stands for all. Both panic if no call could have them.
func (f *Fault) Of(namespace, name string) *Fault {
	constructor := fmt.Sprintf("Of(%q, %q)", namespace, name)
	if f == nil {
		panic("fault: " + constructor + ": the fault is nil")
	}
	if len(f.all) > 0 {
		var narrowed []*Fault
		for _, part := range f.all {
			narrowed = append(narrowed, part.Of(namespace, name))
		}
		return Any(narrowed...)
	}
	narrowed := *f
	for _, part := range []struct {
		of  *string
		now string
	}{{&narrowed.namespace, namespace}, {&narrowed.name, name}} {
		if *part.of != "" && part.now != "" && *part.of != part.now {
			panic(fmt.Sprintf("fault: %s, %s: no call is of both %q and %q", f.description, constructor, *part.of, part.now))
		}
		*part.of = cmp.Or(part.now, *part.of)
	}
	narrowed.description += " " + place(namespace, name)
	return must(fmt.Sprintf("%s, %s", f.description, constructor), &narrowed)
}

// String returns the description, and the error without its type.
func (f *Fault) String() string {
	switch {
	case f == nil:
		return "no fault"
	case len(f.all) > 0:
		return fmt.Sprint(f.all)
	case f.err == nil:
		return f.description
	}
	return f.description + ": " + f.err.Error()
}

// parts returns the faults that f combines, f if it is one.
func (f *Fault) parts() []*Fault {
	if len(f.all) > 0 {
		return f.all
	}
	return []*Fault{f}
}

// concerns reports whether f is about op; which of the calls fail is another
// question.
func (f *Fault) concerns(op Op) bool {
	return (f.verb == "" || f.verb == op.Verb) && (f.resource == "" || f.resource == op.resource()) &&
		(f.namespace == "" || f.namespace == op.Namespace) && (f.name == "" || f.name == op.Name) &&
		(f.decide != nil || affects(f.err, op.Verb, op.resource())) &&
		(f.match == nil || f.match(op))
}

// fails returns the error of the nth call that f is about.
func (f *Fault) fails(op Op, n int) error {
	switch {
	case f.decide != nil:
		if err := f.decide(op); affects(err, op.Verb, op.resource()) {
			return err
		}
		return nil
	case n < f.from || f.to > 0 && n > f.to:
		return nil
	}
	return f.err
}

func target(verb, resource string) string {
	if verb == "" {
		verb = "any verb"
	}
	if resource == "" {
		resource = "any resource"
	}
	return verb + " " + resource
}

// affects reports whether err changes anything about a call: that a read is
// stale does not change a write.
func affects(err error, verb, resource string) bool {
	e, ok := err.(*effect)
	switch {
	case !ok:
		return err != nil
	case e.lag > 0:
		return object.Reads(verb, resource)
	case e.drop != nil:
		return verb == "watch"
	}
	return true
}
