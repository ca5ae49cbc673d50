package patch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/patch"
)

func TestParseApply(t *testing.T) {
	for _, tt := range []struct{ name, manager, data, reason, want string }{
		{"good", "me", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a", "", ""},
		{"without metadata", "me", `{"apiVersion":"v1","kind":"Secret"}`, "", ""},
		{"no manager", "", `{"apiVersion":"v1","kind":"Secret"}`, "Invalid", "fieldManager: Required value: is required for apply patch"},
		{"another version", "me", `{"apiVersion":"v2","kind":"Secret"}`, "BadRequest", "invalid object type: /v2, Kind=Secret"},
		{"another kind", "me", `{"apiVersion":"v1","kind":"Pod"}`, "BadRequest", "invalid object type: /v1, Kind=Pod"},
		{"managedFields", "me", `{"apiVersion":"v1","kind":"Secret","metadata":{"managedFields":[]}}`, "BadRequest", "metadata.managedFields must be nil"},
		{"no YAML", "me", "kind: {hunter2", "BadRequest", "error decoding YAML: the apply configuration is no object"},
		{"no object", "me", "[1]", "BadRequest", "error decoding YAML: the apply configuration is no object"},
		{"nothing", "me", "null", "BadRequest", "error decoding YAML: the apply configuration is no object"},
		{"no object as metadata", "me", `{"apiVersion":"v1","kind":"Secret","metadata":"hunter2"}`, "Unknown", "metadata is no object"},
	} {
		got, err := patch.ParseApply(object.Secrets, []byte(tt.data), tt.manager)
		switch {
		case tt.want == "":
			if err != nil || got.GetKind() != "Secret" {
				t.Errorf("%s: ParseApply() = %v, %v, want the Secret", tt.name, got, err)
			}
		case err == nil || string(apierrors.ReasonForError(err)) != strings.TrimPrefix(tt.reason, "Unknown") || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: ParseApply() = %v, want %s: %s", tt.name, err, tt.reason, tt.want)
		}
	}
	if once, twice := patch.Repeated([]byte("a: 1")), patch.Repeated([]byte("a: 1\na: 2")); once != nil || twice == nil || !strings.Contains(twice.Error(), `"a" already set`) {
		t.Errorf("Repeated() = %v, then %v, want an error on the second", once, twice)
	}
	if err := patch.NotTyped("x").(*apierrors.StatusError).Status(); err.Code != 500 || err.Status != "Failure" || err.Message != "x" {
		t.Errorf("NotTyped() = %+v, want a 500", err)
	}
}

// What is applied belongs to the path of the request.
func TestCheckApplied(t *testing.T) {
	meta := func(namespace, name, uid string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), ResourceVersion: "7"}
	}
	for _, tt := range []struct {
		name    string
		applied metav1.ObjectMeta
		exists  bool
		version string
		want    string
	}{
		{"of what exists", meta("ci", "a", "u"), true, "7", ""},
		{"of what doesn't", meta("ci", "a", ""), false, "", ""},
		{"without a namespace", meta("", "a", ""), true, "7", ""},
		{"a UID of what doesn't exist", meta("ci", "a", "u"), false, "", `Operation cannot be fulfilled on secrets "a": uid mismatch: the provided object specified uid u, and no existing object was found`},
		{"another namespace", meta("cd", "a", ""), true, "", "the namespace of the provided object does not match the namespace sent on the request"},
		{"no name", meta("ci", "", ""), true, "", "the name of the object (a based on URL) was undeterminable: name must be provided"},
		{"another name", meta("ci", "b", ""), true, "", "the name of the object (b) does not match the name on the URL (a)"},
	} {
		applied := &corev1.Secret{ObjectMeta: tt.applied}
		err := patch.CheckApplied(object.Secrets, applied, tt.exists, "ci", "a")
		if tt.want != "" {
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: CheckApplied() = %v, want %s", tt.name, err, tt.want)
			}
			continue
		}
		if err != nil || applied.Namespace != "ci" || applied.ResourceVersion != tt.version {
			t.Errorf("%s: CheckApplied() = %v, the object is %s/%s at %q", tt.name, err, applied.Namespace, applied.Name, applied.ResourceVersion)
		}
	}
}

// An entry keeps its time while it owns the same fields, and entries are in the order of
// the API server: by operation, time, manager, version and subresource.
func TestStamp(t *testing.T) {
	then, now := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	entry := func(change func(*metav1.ManagedFieldsEntry)) metav1.ManagedFieldsEntry {
		e := metav1.ManagedFieldsEntry{Manager: "m", Operation: "Update", APIVersion: "v1", Subresource: "s", Time: &then, FieldsV1: metav1.NewFieldsV1(`{"f:a":{}}`)}
		if change != nil {
			change(&e)
		}
		return e
	}
	stamped := func(live *corev1.Secret, entries ...metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
		next := &corev1.Secret{}
		next.SetManagedFields(entries)
		var before object.Object
		if live != nil {
			before = live
		}
		patch.Stamp(next, before, now)
		return next.GetManagedFields()
	}
	live := &corev1.Secret{}
	live.SetManagedFields([]metav1.ManagedFieldsEntry{entry(nil), entry(func(e *metav1.ManagedFieldsEntry) { e.Manager, e.FieldsV1 = "none", nil })})
	for name, tt := range map[string]struct {
		change func(*metav1.ManagedFieldsEntry)
		want   metav1.Time
	}{
		"the same":            {nil, then},
		"another manager":     {func(e *metav1.ManagedFieldsEntry) { e.Manager = "n" }, now},
		"another operation":   {func(e *metav1.ManagedFieldsEntry) { e.Operation = "Apply" }, now},
		"another version":     {func(e *metav1.ManagedFieldsEntry) { e.APIVersion = "v2" }, now},
		"another subresource": {func(e *metav1.ManagedFieldsEntry) { e.Subresource = "" }, now},
		"other fields":        {func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = metav1.NewFieldsV1(`{"f:b":{}}`) }, now},
		"no fields":           {func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = nil }, now},
		"none before":         {func(e *metav1.ManagedFieldsEntry) { e.Manager = "none" }, now},
	} {
		if got := stamped(live, entry(tt.change)); !got[0].Time.Equal(&tt.want) {
			t.Errorf("%s: the time is %v, want %v", name, got[0].Time, tt.want)
		}
	}
	if got := stamped(nil, entry(nil)); !got[0].Time.Equal(&now) {
		t.Errorf("of a new object the time is %v, want %v", got[0].Time, now)
	}
	apply := func(e *metav1.ManagedFieldsEntry) { e.Operation, e.Manager = "Apply", "z" }
	sub := func(e *metav1.ManagedFieldsEntry) { e.Manager, e.Subresource = "a", "t" }
	later := func(e *metav1.ManagedFieldsEntry) { e.Manager, e.APIVersion = "a", "v2" }
	first := func(e *metav1.ManagedFieldsEntry) { e.Manager = "a" }
	got := stamped(live, entry(later), entry(sub), entry(first), entry(nil), entry(apply))
	var order []string
	for _, e := range got {
		order = append(order, string(e.Operation)+" "+e.Manager+" "+e.APIVersion+" "+e.Subresource)
	}
	want := []string{"Apply z v1 s", "Update m v1 s", "Update a v1 s", "Update a v1 t", "Update a v2 s"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
