// Package names tells the names that objects can have from what a client may send
// in their place, and bounds what texts show of either.
//
// A name that no object can have must not reach a getter, which may put it into the
// path of a request: "../../kube-system/secrets/x" would read another object.
package names

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Lengths of names (RFC 1123).
const (
	maxLabel     = 63
	maxSubdomain = 253
)

// Valid reports whether a ServiceAccount or a Secret can have this name: a
// DNS-1123 subdomain.
func Valid(name string) bool {
	if len(name) > maxSubdomain {
		return false
	}
	start := 0
	for i := range len(name) {
		if name[i] == '.' {
			if !isLabel(name[start:i]) {
				return false
			}
			start = i + 1
		}
	}
	return isLabel(name[start:])
}

// ValidNamespace reports whether a namespace can have this name: a DNS-1123 label.
func ValidNamespace(name string) bool { return len(name) <= maxLabel && isLabel(name) }

// isLabel reports whether s consists of a-z, 0-9 and inner hyphens, and of at least
// one of them.
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

// Shorten returns text for messages: as it is if it may be a name, else cut, with
// an ellipsis.
func Shorten(text string) string { return shorten(text, maxSubdomain) }

// Printable returns text of a client for messages, without quotes: as it is if it may be
// a name, else cut, with an ellipsis, and with escapes for what isn't printed.
func Printable(text string) string {
	quoted := strconv.Quote(shorten(text, maxSubdomain))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// Quote returns any text of a client for messages: quoted, and cut to 64 bytes, with
// an ellipsis.
func Quote(text string) string {
	const longest = 64
	if len(text) <= longest {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.TrimSuffix(shorten(text, longest), ellipsis)) + ellipsis
}

const ellipsis = "…"

// shorten cuts text to at most longest bytes and the ellipsis, between two runes.
func shorten(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	end := longest
	for end > longest-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
