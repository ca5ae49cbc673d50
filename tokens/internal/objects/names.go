package objects

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Lengths of names (RFC 1123).
const (
	maxLabelBytes     = 63
	maxSubdomainBytes = 253
)

// A name that no object can have must not reach a getter, which may put it into the
// path of a request: "../../kube-system/secrets/x" would read another object.

// ValidNamespace reports whether a namespace can have this name.
func ValidNamespace(name string) bool { return len(name) <= maxLabelBytes && isLabel(name) }

// ValidName reports whether a ServiceAccount, Secret, Pod, Node or webhook
// configuration can have this name.
func ValidName(name string) bool {
	if len(name) > maxSubdomainBytes {
		return false
	}
	for {
		label, rest, more := strings.Cut(name, ".")
		if !isLabel(label) {
			return false
		}
		if !more {
			return true
		}
		name = rest
	}
}

// ValidAccount reports whether a ServiceAccount can have this namespace and name.
func ValidAccount(namespace, name string) bool { return ValidNamespace(namespace) && ValidName(name) }

// ValidSegment reports whether name is one segment of a path, as the names of all
// kinds of objects are.
func ValidSegment(name string) bool {
	return name != "" && len(name) <= maxSubdomainBytes && SegmentProblem(name) == ""
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
// domain, and its version and kind are words.
func ValidKind(kind schema.GroupVersionKind) bool {
	return (kind.Group == "" || ValidName(kind.Group)) && isLabel(kind.Version) && isWord(kind.Kind)
}

// isLabel reports whether s consists of a-z, 0-9 and inner hyphens.
func isLabel(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
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
	return s != "" && len(s) <= maxLabelBytes
}
