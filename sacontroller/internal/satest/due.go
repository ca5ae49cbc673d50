package satest

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/sacontroller"
)

// A DueCase is a change, and the keys that it makes due.
type DueCase struct {
	Name   string
	Types  []watch.EventType // all of the three if nil
	Object runtime.Object
	Old    runtime.Object
	Want   []sacontroller.Key
}

// Due checks that due gives the keys of each case, those of a tenant for a tenant.
func Due(t *testing.T, due func(sacontroller.Change) []sacontroller.Key, tests []DueCase) {
	t.Helper()
	for _, tt := range tests {
		for _, typ := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted, watch.Bookmark, watch.Error, ""} {
			want := tt.Want
			if tt.Types == nil && (typ == watch.Bookmark || typ == watch.Error || typ == "") {
				want = nil
			} else if tt.Types != nil && !slices.Contains(tt.Types, typ) {
				want = nil
			}
			if diff := cmp.Diff(want, due(sacontroller.Change{Type: typ, Object: tt.Object, Old: tt.Old})); diff != "" {
				t.Errorf("%s, %s: Due() (-want +got):\n%s", tt.Name, typ, diff)
			}
			for _, key := range due(sacontroller.Change{Tenant: "red", Type: typ, Object: tt.Object, Old: tt.Old}) {
				if key.Tenant != "red" {
					t.Errorf("%s, %s: Due() of tenant red returns %+v", tt.Name, typ, key)
				}
			}
		}
	}
}

// Foreign checks that keys that no change gives are ignored (CTL-8). The controllers are
// zero: one that does anything reaches for its nil Reader.
func Foreign(t *testing.T, controllers ...sacontroller.Controller) {
	t.Helper()
	for _, c := range controllers {
		for _, key := range []sacontroller.Key{
			{},
			{Kind: "Pod", Namespace: "ns", Name: "p", UID: "1"},
			{Kind: "Secret", Namespace: "ns", Name: "s", UID: "1"},
			{Kind: "ServiceAccount", Namespace: "ns", Name: "s"},
			{Kind: "ConfigMap", Namespace: "ns", Name: "m"},
			{Kind: "Namespace"},
			{Kind: "Namespace", Name: "../x"},
			{Kind: "Secret", Namespace: "../x", Name: "s", UID: "1", ServiceAccountName: "sa"},
			{Kind: "Secret", Namespace: "ns", Name: "../s", UID: "1", ServiceAccountName: "sa"},
			{Kind: "ServiceAccount", Namespace: "ns", Name: "a/b", UID: "1"},
		} {
			if result, err := c.Reconcile(context.Background(), key); err != nil || result != (sacontroller.Result{}) {
				t.Errorf("%s: Reconcile(%v) = %v, %v, want nothing done", c.Name(), key, result, err)
			}
		}
	}
}
