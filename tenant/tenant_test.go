package tenant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/kubesa/serviceaccount/tenant"
)

func ExampleNewContext() {
	ctx := tenant.NewContext(context.Background(), "red")
	fmt.Printf("%q %q\n", tenant.Of(ctx), tenant.Of(context.Background()))

	// Output:
	// "red" ""
}

// Clients, one for each tenant: whoever answers for one finds its own.
func ExampleSet() {
	var addresses tenant.Set[string]
	addresses.Join("red", "https://red.example.org")
	red, err := addresses.Of(tenant.NewContext(context.Background(), "red"))
	fmt.Println(red, err)

	addresses.Leave("red")
	_, err = addresses.Of(tenant.NewContext(context.Background(), "red"))
	fmt.Println(err)

	// Output:
	// https://red.example.org <nil>
	// tenant: "red" is unknown, want a tenant that has joined
}

func TestContext(t *testing.T) {
	ctx := t.Context()
	if tenant.NewContext(ctx, "") != ctx {
		t.Error("NewContext() of no tenant isn't the context that names none")
	}
	red := tenant.NewContext(ctx, "red")
	if tenant.NewContext(red, "red") != red {
		t.Error("NewContext() of the same tenant isn't the same context")
	}
	for name, ctx := range map[string]context.Context{
		"":     tenant.NewContext(red, ""),
		"red":  context.WithoutCancel(red),
		"blue": tenant.NewContext(red, "blue"),
	} {
		if got := tenant.Of(ctx); got != name {
			t.Errorf("Of() = %q, want %q", got, name)
		}
	}
}

func TestSet(t *testing.T) {
	var s tenant.Set[int]
	if s.Join("", 1) {
		t.Error("the tenant without a name has joined")
	}
	if _, ok := s.Leave("red"); ok {
		t.Error("a tenant leaves that hasn't joined")
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { s.Join(fmt.Sprint(i), i) })
		wg.Go(func() { s.Of(t.Context()) }) //nolint:errcheck // for the race detector
	}
	wg.Wait()
	if s.Join("7", 70) {
		t.Error("a tenant has joined twice")
	}
	if got, err := s.Of(tenant.NewContext(t.Context(), "7")); got != 7 || err != nil {
		t.Errorf("Of() = %d, %v, want the first member", got, err)
	}
	if got, ok := s.Leave("7"); got != 7 || !ok {
		t.Errorf("Leave() = %d, %t", got, ok)
	}
	if got := s.Names(); len(got) != 9 || !slices.IsSorted(got) {
		t.Errorf("Names() = %q, want nine in order", got)
	}
	for name, want := range map[string]string{
		"7": `tenant: "7" is unknown, want a tenant that has joined`,
		"":  "tenant: the context names no tenant",
	} {
		_, err := s.Of(tenant.NewContext(t.Context(), name))
		if e, ok := errors.AsType[*tenant.UnknownError](err); !ok || e.Name != name || e.Error() != want {
			t.Errorf("Of() of %q = %v, want %s", name, err, want)
		}
	}
}
