package sacontroller

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

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
