package payload

import "testing"

// TOK-84
func TestMatchesUsername(t *testing.T) {
	if !matchesUsername("foo", "bar", "system:serviceaccount:foo:bar") {
		t.Error("matchesUsername() = false for the account's own")
	}
	for _, other := range [][3]string{
		{"foo", "bar", "system:serviceaccount:foo:ba"}, {"foo", "bar", "system:serviceaccount:foo:barr"}, {"foo", "bar", "system:serviceaccount:foo/bar"},
		{"foo", "bar", "xystem:serviceaccount:foo:bar"}, {"foo", "bar", ""}, {"foo", "bar", "foo:bar"}, {"foo", "bar", "system:serviceaccount:fox:bar"},
		{"foo", "", "system:serviceaccount:foo"}, {"", "", "system:serviceaccount:"},
	} {
		if matchesUsername(other[0], other[1], other[2]) {
			t.Errorf("matchesUsername(%q) = true", other)
		}
	}
	// It doesn't look for colons, which no namespace or name has.
	if !matchesUsername("foo:", "bar", "system:serviceaccount:foo::bar") || matchesUsername("foo", "bar", "system:serviceaccount:foo::bar") {
		t.Error("matchesUsername() doesn't compare byte by byte")
	}
	matches := true
	if n := testing.AllocsPerRun(100, func() { matches = matches && matchesUsername("foo", "bar", "system:serviceaccount:foo:bar") }); n != 0 || !matches {
		t.Errorf("matchesUsername() allocates %v times", n)
	}
}
