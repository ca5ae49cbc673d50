package fake_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

func TestStory(t *testing.T) {
	actions := func(names ...string) (actions []fake.Action) {
		for _, name := range names {
			actions = append(actions, fake.Action{Op: fault.Op{Actor: "c", Verb: "get", Resource: "secrets", Namespace: "ns", Name: name}})
		}
		return actions
	}
	const line = "c: get secrets ns/"
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"nothing", nil, ""},
		{"few", []string{"a", "a", "a", "b"}, line + "a\n" + line + "a\n" + line + "a\n" + line + "b\n"},
		{"one line", slices.Repeat([]string{"a"}, 100), line + "a\n… and the same 99 more times\n"},
		{
			"a refrain, and what is around it",
			slices.Concat([]string{"x"}, slices.Repeat([]string{"a", "b"}, 5), []string{"a", "y"}),
			line + "x\n" + line + "a\n" + line + "b\n… and these 2 lines 4 more times\n" + line + "a\n" + line + "y\n",
		},
	} {
		if diff := cmp.Diff(tt.want, fake.FormatActions(actions(tt.names...))); diff != "" {
			t.Errorf("%s: Story() (-want +got):\n%s", tt.name, diff)
		}
	}
}
