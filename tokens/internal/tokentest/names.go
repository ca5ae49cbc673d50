package tokentest

import "strings"

// HostileNames are none that an object can have. Put into the path of a request,
// some of them read another object.
var HostileNames = []string{
	"../../../namespaces/kube-system/secrets/x", "..", ".", "a/b", "a%2fb", "a\x00", "a?watch=true", "a#b", "a b", "A", "\u212aa",
	strings.Repeat("a", 254), "-a", "a.", "a..b",
}
