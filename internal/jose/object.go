package jose

import (
	"strings"
	"unicode/utf8"
)

// reservedNames are the names in the claims of service-account tokens. A name
// that only some decoders take for one of these is refused.
var reservedNames = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti",

	"kubernetes.io", "namespace", "serviceaccount", "pod", "secret", "node",
	"validatingwebhookconfiguration", "mutatingwebhookconfiguration",
	"attestations", "warnafter", "name", "uid", "object", "apiVersion", "kind",

	"kubernetes.io/serviceaccount/namespace",
	"kubernetes.io/serviceaccount/secret.name",
	"kubernetes.io/serviceaccount/service-account.name",
	"kubernetes.io/serviceaccount/service-account.uid",
}

// CheckObject checks that every JSON decoder reads data alike: that it is
// valid UTF-8 and one JSON object, with at most maxDepth objects and arrays
// inside one another (the outermost counts), in which no object has a name
// twice, and no name equals one of reserved under Unicode case folding without
// being it. The folding of encoding/json takes U+017F for s and U+212A for k.
// Any error is a [*MalformedError].
func CheckObject(data []byte, maxDepth int, reserved []string) error {
	if fault := checkObject(data, maxDepth, reserved); fault != "" {
		return &MalformedError{"object", fault}
	}
	return nil
}

func checkObject(data []byte, maxDepth int, reserved []string) (fault string) {
	if !utf8.Valid(data) {
		return "invalid UTF-8"
	}
	c := checker{scanner: scanner{data: data}, maxDepth: maxDepth, reserved: reserved}
	c.names = c.space[:0]
	if c.peek() != '{' {
		return "not a JSON object"
	}
	if fault := c.object(1); fault != "" {
		return fault
	}
	if !c.end() {
		return "more than one JSON value"
	}
	return ""
}

// A checker is a scanner that remembers the names of the objects that it is
// inside of.
type checker struct {
	scanner
	maxDepth int
	reserved []string
	names    [][]byte // outermost object first
	space    [32][]byte
}

// manyNames is how many names of one object are compared one by one; beyond
// that a map takes over, so that the cost stays linear.
const manyNames = 24

func (c *checker) object(depth int) (fault string) {
	if depth > c.maxDepth {
		return "nested too deeply"
	}
	c.take('{')
	if c.take('}') {
		return ""
	}
	base := len(c.names)
	defer func() { c.names = c.names[:base] }()
	var seen map[string]bool
	for {
		name, fault := c.text()
		if fault != "" {
			return fault
		}
		if c.imitates(name) {
			return "a name that differs from a reserved one only in case"
		}
		switch own := c.names[base:]; {
		case len(own) < manyNames:
			for _, other := range own {
				if string(other) == string(name) {
					return faultDuplicate
				}
			}
			c.names = append(c.names, name)
		case seen == nil:
			seen = make(map[string]bool, 2*manyNames)
			for _, other := range own {
				seen[string(other)] = true
			}
			fallthrough
		default:
			if seen[string(name)] {
				return faultDuplicate
			}
			seen[string(name)] = true
		}
		if !c.take(':') {
			return faultSyntax
		}
		if fault := c.value(depth + 1); fault != "" {
			return fault
		}
		if c.take('}') {
			return ""
		}
		if !c.take(',') {
			return faultSyntax
		}
	}
}

func (c *checker) array(depth int) (fault string) {
	if depth > c.maxDepth {
		return "nested too deeply"
	}
	c.take('[')
	if c.take(']') {
		return ""
	}
	for {
		if fault := c.value(depth + 1); fault != "" {
			return fault
		}
		if c.take(']') {
			return ""
		}
		if !c.take(',') {
			return faultSyntax
		}
	}
}

// value reads any value; depth is its own if it is an object or an array.
func (c *checker) value(depth int) (fault string) {
	switch c.peek() {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		_, _, fault := c.str()
		return fault
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		return c.number()
	}
}

// imitates reports whether name folds to a reserved name without being it.
func (c *checker) imitates(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	first := name[0] | 0x20
	for _, r := range c.reserved {
		// An ASCII byte folds only to its other case, or to what isn't ASCII.
		if r == "" || name[0] < utf8.RuneSelf && r[0] < utf8.RuneSelf && r[0]|0x20 != first {
			continue
		}
		if string(name) != r && strings.EqualFold(string(name), r) {
			return true
		}
	}
	return false
}
