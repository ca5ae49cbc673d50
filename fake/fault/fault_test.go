package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/fake/fault"
)

var errBroken = errors.New("broken")

// A fault that can't fire panics where it is made, with a text that says why.
func TestFaultsThatCannotFire(t *testing.T) {
	always := func(fault.Op) bool { return true }
	var none *apierrors.StatusError
	for _, tt := range []struct {
		name string
		make func()
		want string
	}{
		{"misspelt verb", func() { fault.On("crate", "secrets", errBroken) }, `On("crate", "secrets"): no verb "crate", want one of get, list, watch, create, update, patch, delete, deletecollection, or none for all`},
		{"verb in capitals", func() { fault.On("GET", "secrets", errBroken) }, `no verb "GET"`},
		{"misspelt resource", func() { fault.Nth(1, "get", "secret", errBroken) }, `Nth(1, "get", "secret"): no resource "secret", want one of namespaces, namespaces/status`},
		{"a kind", func() { fault.On("", "ServiceAccount", errBroken) }, `no resource "ServiceAccount"`},
		{"a kind that is not served", func() { fault.First(1, "", "deployments", errBroken) }, `no resource "deployments"`},
		{"a resource without its subresource", func() { fault.On("create", "token", errBroken) }, `no resource "token"`},
		{"no such subresource", func() { fault.On("update", "secrets/status", errBroken) }, `no resource "secrets/status"`},
		{"no such verb of a subresource", func() { fault.On("get", "serviceaccounts/token", errBroken) }, `the API has no get of serviceaccounts/token`},
		{"a patch of finalize", func() { fault.On("patch", "namespaces/finalize", errBroken) }, `the API has no patch of namespaces/finalize`},
		{"a list of reviews", func() { fault.On("list", "tokenreviews", errBroken) }, `the API has no list of tokenreviews`},
		{"an event", func() { fault.On("create", "events", errBroken) }, `the API has no create of events`},
		{"deletecollection of Namespaces", func() { fault.On("deletecollection", "namespaces", errBroken) }, `the API has no deletecollection of namespaces`},
		{"no such path", func() { fault.On("get", "/openid/v2/jwks", errBroken) }, `no resource "/openid/v2/jwks"`},
		{"no call", func() { fault.Nth(0, "get", "secrets", errBroken) }, `Nth(0, "get", "secrets"): no call has the number 0, want at least 1`},
		{"a negative call", func() { fault.Nth(-1, "get", "secrets", errBroken) }, `no call has the number -1`},
		{"the first none", func() { fault.First(0, "get", "secrets", errBroken) }, `First(0, "get", "secrets"): no call has the number 0`},
		{"no error", func() { fault.On("get", "secrets", nil) }, `On("get", "secrets"): the error is nil, which is no failure`},
		{"a nil pointer as an error", func() { fault.If("x", always, none) }, `If("x"): the error is nil`},
		{"no condition", func() { fault.If("x", nil, errBroken) }, `If("x"): match is nil`},
		{"no function", func() { fault.Func("x", nil) }, `Func("x"): decide is nil`},
		{"an effect that is wrapped", func() { fault.On("get", "secrets", fmt.Errorf("x: %w", fault.Conflict)) }, `the error wraps "conflict", which has an effect only if it is not wrapped`},
		{"effects that are joined", func() { fault.On("get", "secrets", errors.Join(fault.Slow(time.Second), fault.Timeout)) }, `the error wraps "slow by 1s"`},
		{"a stale write", func() { fault.On("delete", "secrets", fault.Stale(1)) }, `On("delete", "secrets"): "1 revisions behind" does nothing to a delete secrets`},
		{"a stale document", func() { fault.On("get", "/openid/v1/jwks", fault.Stale(1)) }, `does nothing to a get /openid/v1/jwks`},
		{"a stale watch", func() { fault.On("watch", "", fault.Stale(1)) }, `does nothing to a watch any resource`},
		{"a dropped list", func() { fault.On("list", "", fault.DropWatch(1)) }, `"dropped after 1 events" does nothing to a list any resource`},
		{"not behind", func() { fault.Stale(0) }, `Stale(0): want a positive number of revisions`},
		{"ahead", func() { fault.StaleReads(-1) }, `Stale(-1): want a positive`},
		{"not slow", func() { fault.Slow(0) }, `Slow(0s): want a positive duration`},
		{"a drop before the beginning", func() { fault.DropWatch(-1) }, `DropWatch(-1): want 0 or more events`},
		{"after nothing", func() { fault.After(nil) }, `After: the error is nil`},
		{"slow afterwards", func() { fault.After(fault.Slow(time.Second)) }, `After: "slow by 1s" is no error that a caller could get after the call`},
		{"stale afterwards", func() { fault.After(fault.Stale(1)) }, `After: "1 revisions behind" is no error`},
		{"of no faults", func() { fault.Any() }, `Any(): no faults`},
		{"of a nil fault", func() { fault.Any(fault.On("get", "", errBroken), nil) }, `Any: fault 1 is nil`},
		{"a namespace that is no name", func() { fault.On("get", "secrets", errBroken).Of("C_I", "") }, `Of("C_I", ""): no namespace can be called "C_I": `},
		{"a name that is no name", func() { fault.On("get", "secrets", errBroken).Of("ci", "My Secret") }, `no object can be called "My Secret": `},
		{"a Namespace with a dot", func() { fault.On("get", "namespaces", errBroken).Of("", "a.b") }, `no object can be called "a.b": `},
		{"a Namespace in a namespace", func() { fault.On("get", "namespaces", errBroken).Of("ci", "") }, `get namespaces has no namespaces`},
		{"the name of a list", func() { fault.On("list", "secrets", errBroken).Of("ci", "x") }, `list secrets has no names`},
		{"the name of a review", func() { fault.On("create", "tokenreviews", errBroken).Of("", "x") }, `create tokenreviews has no names`},
		{"of two namespaces", func() { fault.On("get", "secrets", errBroken).Of("ci", "").Of("cd", "x") }, `Of("cd", "x"): no call is of both "ci" and "cd"`},
		{"of two names", func() { fault.On("get", "secrets", errBroken).Of("ci", "x").Of("", "y") }, `no call is of both "x" and "y"`},
		{"of a namespace, then the name of a list", func() { fault.On("list", "secrets", errBroken).Of("ci", "").Of("", "x") }, `list secrets has no names`},
		{"a part of Any", func() {
			fault.Any(fault.On("get", "secrets", errBroken), fault.On("list", "secrets", errBroken)).Of("ci", "x")
		}, `list secrets has no names`},
		{"nothing injected", func() { new(fault.Set).Inject(nil) }, `Inject: the fault is nil`},
		{"the zero Fault", func() { new(fault.Set).Inject(new(fault.Fault)) }, `Inject: the fault is empty`},
		{"a write of a cache", func() { (&fault.Set{Cache: true}).Inject(fault.On("create", "secrets", errBroken)) }, `"every create secrets: broken" can't fire here: a cache has only get and list`},
		{"a subresource of a cache", func() { (&fault.Set{Cache: true}).Inject(fault.On("get", "pods/status", errBroken)) }, `can't fire here`},
		{"a stale cache", func() { (&fault.Set{Cache: true}).Inject(fault.StaleReads(1)) }, `can't fire here`},
		{"a watch of a cache, with others", func() {
			(&fault.Set{Cache: true}).Inject(fault.Any(fault.On("get", "", errBroken), fault.On("watch", "", errBroken)))
		}, `"every watch any resource: broken" can't fire here`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				if !strings.HasPrefix(got, "fault: ") || !strings.Contains(got, tt.want) {
					t.Errorf("panic %q,\nwant %q in it", got, tt.want)
				}
			}()
			tt.make()
		})
	}
}

// Each of these can fire, on an op like the one given.
func TestFaultsThatCanFire(t *testing.T) {
	tokens := fault.Op{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "ci", Name: "builder"}
	for _, tt := range []struct {
		fault *fault.Fault
		op    fault.Op
	}{
		{fault.On("", "", errBroken), tokens},
		{fault.On("create", "", errBroken), tokens},
		{fault.On("", "serviceaccounts/token", errBroken), tokens},
		{fault.On("create", "serviceaccounts/token", fault.Stale(1)), tokens},
		{fault.On("create", "serviceaccounts/token", errBroken).Of("ci", "builder"), tokens},
		{fault.On("", "", errBroken).Of("ci", ""), tokens},
		{fault.On("", "", errBroken).Of("", "builder"), tokens},
		{fault.On("", "", errBroken).Of("ci", "").Of("", "builder").Of("ci", ""), tokens},
		{fault.On("create", "tokenreviews", fault.AnswerLost), fault.Op{Verb: "create", Resource: "tokenreviews"}},
		{fault.On("create", "selfsubjectreviews", errBroken), fault.Op{Verb: "create", Resource: "selfsubjectreviews"}},
		{fault.On("get", "/openid/v1/jwks", errBroken), fault.Op{Verb: "get", Resource: "/openid/v1/jwks"}},
		{fault.On("list", "events", errBroken), fault.Op{Verb: "list", Resource: "events"}},
		{fault.On("get", "pods/status", errBroken).Of("ci", "p"), fault.Op{Verb: "get", Resource: "pods", Subresource: "status", Namespace: "ci", Name: "p"}},
		{fault.On("create", "pods/binding", errBroken), fault.Op{Verb: "create", Resource: "pods", Subresource: "binding"}},
		{fault.On("deletecollection", "secrets", errBroken).Of("ci", ""), fault.Op{Verb: "deletecollection", Resource: "secrets", Namespace: "ci"}},
		{fault.On("", "secrets", fault.DropWatch(0)), fault.Op{Verb: "watch", Resource: "secrets"}},
		{fault.On("get", "nodes", errBroken).Of("", "node-1.example"), fault.Op{Verb: "get", Resource: "nodes", Name: "node-1.example"}},
		{fault.Func("x", func(fault.Op) error { return errBroken }).Of("ci", ""), tokens},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			var s fault.Set
			s.Inject(tt.fault)
			if s.Decide(fault.Op{Verb: "delete", Resource: "pods", Namespace: "other", Name: "x"}); len(s.Unfired()) != 1 && tt.fault.String() != "every any verb any resource: broken" {
				t.Errorf("it fired on another call")
			}
			if out := s.Decide(tt.op); out.Description == "" {
				t.Errorf("it did not fire on %s", tt.op)
			}
			if got := s.Unfired(); len(got) > 0 {
				t.Errorf("Unfired() = %v, want none", got)
			}
		})
	}
}

// What was narrowed is never widened again.
func TestOfOf(t *testing.T) {
	var s fault.Set
	s.Inject(fault.On("get", "secrets", errBroken).Of("ci", "").Of("", "x"))
	for place, want := range map[[2]string]bool{{"cd", "x"}: false, {"ci", "y"}: false, {"ci", "x"}: true} {
		op := fault.Op{Verb: "get", Resource: "secrets", Namespace: place[0], Name: place[1]}
		if got := s.Decide(op).Err != nil; got != want {
			t.Errorf("%s fails: %t, want %t", op, got, want)
		}
	}
}

// What can't be stale is not counted, and doesn't hide another fault.
func TestEffectsOnOtherCalls(t *testing.T) {
	var s fault.Set
	s.Inject(fault.Nth(1, "", "secrets", fault.Stale(2)))
	s.Inject(fault.On("", "secrets", fault.Conflict))
	create, get := fault.Op{Verb: "create", Resource: "secrets"}, fault.Op{Verb: "get", Resource: "secrets"}
	if out := s.Decide(create); out.Lag != 0 || !apierrors.IsConflict(out.Err) {
		t.Errorf("Decide(create) = %+v, want a conflict", out)
	}
	if out := s.Decide(get); out.Lag != 2 || out.Err != nil {
		t.Errorf("Decide(get) = %+v, want a lag of 2", out)
	}
	if out := s.Decide(get); !apierrors.IsConflict(out.Err) {
		t.Errorf("Decide(get) again = %+v, want a conflict", out)
	}
}

// A fault is a value: each injection counts for itself.
func TestInjectedTwice(t *testing.T) {
	f := fault.First(1, "get", "secrets", errBroken)
	for range 2 {
		var s fault.Set
		s.Inject(f)
		op := fault.Op{Verb: "get", Resource: "secrets"}
		if first, second := s.Decide(op), s.Decide(op); first.Err != errBroken || second.Err != nil {
			t.Errorf("Decide() = %v, then %v, want broken, then nil", first.Err, second.Err)
		}
	}
}

func TestUnfired(t *testing.T) {
	var s fault.Set
	s.Inject(fault.On("get", "secrets", errBroken))
	s.Inject(fault.On("get", "", fault.Conflict)) // decides nothing: the first is faster
	s.Inject(fault.Any(fault.Nth(2, "get", "secrets", errBroken), fault.On("watch", "", errBroken)))
	s.Inject(fault.If("never", func(fault.Op) bool { return false }, fault.Timeout))
	s.Inject(fault.Func("no error", func(fault.Op) error { return nil }))
	s.Inject(fault.Func("no effect", func(fault.Op) error { return fault.DropWatch(1) }))
	s.Decide(fault.Op{Verb: "get", Resource: "secrets"})
	s.Decide(fault.Op{Verb: "watch", Resource: "pods"})
	want := []string{
		"every get any resource: conflict", "call 2 of get secrets: broken",
		"never: timeout", "no error",
	}
	check := func(when string, want []string) {
		t.Helper()
		var got []string
		for _, f := range s.Unfired() {
			got = append(got, f.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Unfired() %s (-want +got):\n%s", when, d)
		}
	}
	check("before", append(want, "no effect"))
	s.Clear()
	check("when cleared", append(want, "no effect"))
	s.Inject(fault.On("list", "", errBroken))
	check("with another", append(want, "no effect", "every list any resource: broken"))
}
