package userinfo_test

import (
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// TOK-83
func TestSplitUsername(t *testing.T) {
	for username, want := range map[string][2]string{
		"system:serviceaccount:ns:name":                               {"ns", "name"},
		"system:serviceaccount:n-1:a.b-c.0":                           {"n-1", "a.b-c.0"},
		"system:serviceaccount:" + strings.Repeat("n", 63) + ":name":  {strings.Repeat("n", 63), "name"},
		"system:serviceaccount:ns:" + strings.Repeat("a.", 126) + "a": {"ns", strings.Repeat("a.", 126) + "a"},
	} {
		namespace, name, err := userinfo.SplitUsername(username)
		if err != nil || [2]string{namespace, name} != want || userinfo.Username(namespace, name) != username {
			t.Errorf("SplitUsername(%q) = %q, %q, %v, want %q", username, namespace, name, err, want)
		}
	}
	for _, username := range []string{
		"", "system:serviceaccount", "system:serviceaccount:", "system:serviceaccount:ns", "system:serviceaccount:ns:",
		"system:serviceaccount::name", "system:serviceaccount:ns:name:extra", "system:serviceaccount:ns :name", "system:serviceaccount:ns:name ",
		"system:serviceaccounts:ns:name", "System:serviceaccount:ns:name", " system:serviceaccount:ns:name",
		"system:serviceaccount:a.b:name", "system:serviceaccount:ns:Name", "system:serviceaccount:-ns:name", "system:serviceaccount:ns-:name",
		"system:serviceaccount:ns:a..b", "system:serviceaccount:ns:.a", "system:serviceaccount:ns:a.", "system:serviceaccount:ns:a\x00",
		"system:serviceaccount:" + strings.Repeat("n", 64) + ":name", "system:serviceaccount:ns:" + strings.Repeat("a", 254),
	} {
		namespace, name, err := userinfo.SplitUsername(username)
		if err == nil || namespace != "" || name != "" || err.Error() != "Username must be in the form system:serviceaccount:namespace:name" {
			t.Errorf("SplitUsername(%q) = %q, %q, %v, want an error", username, namespace, name, err)
		}
	}
}
