package objects

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/names"
)

// maxNameBytes is the length of the longest name of any object.
const maxNameBytes = 253

// maxKindBytes is the length of the longest name of a kind.
const maxKindBytes = 63

// ValidAccount reports whether a ServiceAccount can have this namespace and name.
func ValidAccount(namespace, name string) bool {
	return names.ValidNamespace(namespace) && names.Valid(name)
}

// ValidSegment reports whether name is one segment of a path, as the names of all
// kinds of objects are.
func ValidSegment(name string) bool {
	return name != "" && len(name) <= maxNameBytes && SegmentProblem(name) == ""
}

// SegmentProblem says in the words of Kubernetes why name isn't a segment of a
// path; empty if it is one.
func SegmentProblem(name string) string {
	switch {
	case name == ".", name == "..":
		return "may not be '" + name + "'"
	case strings.Contains(name, "/"):
		return "may not contain '/'"
	case strings.Contains(name, "%"):
		return "may not contain '%'"
	}
	return ""
}

// ValidKind reports whether there can be objects of kind: its group is empty or a
// domain, its version a label and its kind a word.
func ValidKind(kind schema.GroupVersionKind) bool {
	return (kind.Group == "" || names.Valid(kind.Group)) && names.ValidNamespace(kind.Version) && isWord(kind.Kind)
}

// isWord reports whether s consists of letters and digits of ASCII.
func isWord(s string) bool {
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case 'a' <= c && c <= 'z', '0' <= s[i] && s[i] <= '9':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxKindBytes
}
