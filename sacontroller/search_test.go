package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// DESIGN 5: what is remembered of many large accounts is bounded. Those that are
// remembered get ready; another one waits, until they are done or given up.
func TestSearches(t *testing.T) {
	now := time.Unix(1000, 0)
	m := searches{now: func() time.Time { return now }}
	uid := func(i int) types.UID { return types.UID(fmt.Sprint(i)) }
	for i := range maxSearches {
		if err := m.keep(uid(i), m.resume(uid(i), "1"), errYield); err != errYield {
			t.Fatalf("keep() of search %d = %v, want what ended the attempt", i, err)
		}
	}
	one := m.resume(uid(0), "1")
	if !one.resumed {
		t.Error("resume() of the same version = a new search, want the one that was kept")
	}
	if again := m.resume(uid(0), "1"); again.resumed {
		t.Error("resume() twice = one search, want a new one for whoever runs at the same time")
	}
	if err := m.keep(uid(0), one, errYield); err != errYield {
		t.Errorf("keep() in the place that became free = %v, want %v", err, errYield)
	}
	if other := m.resume(uid(1), "2"); other.resumed || other.version != "2" {
		t.Errorf("resume() of another version = %+v, want a new search", other)
	} else if err := m.keep(uid(1), other, errYield); err != errYield {
		t.Errorf("keep() = %v, want %v", err, errYield)
	}

	full := func(want bool) {
		t.Helper()
		err := m.keep("more", &search{}, errYield)
		pause, ok := errors.AsType[*pauseError](err)
		if ok != want || ok && pause.wait != searchPause {
			t.Errorf("keep() of one more after %v = %v, want a pause: %t", now.Sub(time.Unix(1000, 0)), err, want)
		}
	}
	full(true)
	now = now.Add(searchTimeout)
	full(true)
	m.keep(uid(0), m.resume(uid(0), "1"), errYield) // still in use
	now = now.Add(time.Second)
	full(false)
	if len(m.all) != 2 || m.all[uid(0)] == nil {
		t.Errorf("%d searches are left, want the one in use and the new one", len(m.all))
	}
	for i := range maxSearches {
		m.keep(uid(i), &search{}, errYield)
	}
	now = now.Add(-time.Hour) // the clock is set back
	full(false)
}

func TestWithoutNames(t *testing.T) {
	names := []string{"b", "a", "c"}
	secrets := []*corev1.Secret{secretWith(func(s *corev1.Secret) { s.Name = "a" }), secretWith(func(s *corev1.Secret) { s.Name = "d" })}
	if diff := cmp.Diff([]string{"b", "c"}, withoutNames(names, secrets)); diff != "" {
		t.Errorf("withoutNames() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b", "a", "c"}, names); diff != "" {
		t.Errorf("withoutNames changed its argument (-want +got):\n%s", diff)
	}
}

// CTL-81
func TestListsTokenOf(t *testing.T) {
	tests := []struct {
		name   string
		mutate func(*corev1.Secret)
		refs   []string
		want   bool
	}{
		{name: "listed", refs: []string{"x", "token-secret-1"}, want: true},
		{name: "not listed", refs: []string{"x"}},
		{name: "of another account", refs: []string{"token-secret-1"}, mutate: func(s *corev1.Secret) { s.Annotations = nil }},
		{name: "nothing listed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account, secret := goodAccount(), goodSecret()
			account.Secrets = refs(tt.refs...)
			if tt.mutate != nil {
				tt.mutate(secret)
			}
			if got := listsTokenOf(account, []*corev1.Secret{secret}); got != tt.want {
				t.Errorf("listsTokenOf() = %t, want %t", got, tt.want)
			}
		})
	}
}

// No call is made once an attempt has made those that it may, whatever it wants.
func TestAttemptSpends(t *testing.T) {
	a := &attempt{calls: 2}
	read := 0
	get := func(ctx context.Context, name string) error {
		_, err := get(ctx, a, func(context.Context, string, string) (*corev1.Secret, error) {
			read++
			return goodSecret(), nil
		}, "ns", name)
		return err
	}
	for i, want := range []error{nil, nil, errYield, errYield} {
		if err := get(t.Context(), "s"); err != want {
			t.Errorf("call %d = %v, want %v", i+1, err, want)
		}
	}
	if err := get(t.Context(), "../s"); err != nil || read != 2 || a.calls != 0 {
		t.Errorf("a name that can't exist = %v with %d reads, want nil, and 2 reads in all", err, read)
	}
}
