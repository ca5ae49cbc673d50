package jose

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Faults that more than one place finds.
const (
	faultSyntax    = "not valid JSON"
	faultDuplicate = "a name occurs twice in one object"
)

// A scanner walks over JSON text (RFC 8259) that is known to be valid UTF-8.
type scanner struct {
	data []byte
	pos  int
}

// take skips white space and, if c follows, c.
func (s *scanner) take(c byte) bool {
	if s.peek() == c {
		s.pos++
		return true
	}
	return false
}

// peek skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end reports whether only white space is left.
func (s *scanner) end() bool { return s.peek() == 0 && s.pos == len(s.data) }

// text reads a string and returns what it stands for: a part of the data if
// that has no escapes, else a copy.
func (s *scanner) text() (text []byte, fault string) {
	raw, escaped, fault := s.str()
	if fault != "" || !escaped {
		return raw, fault
	}
	return unescape(raw), ""
}

// str reads a string and returns what stands between its quotes, and whether
// there are escapes in it.
func (s *scanner) str() (raw []byte, escaped bool, fault string) {
	if !s.take('"') {
		return nil, false, faultSyntax
	}
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw = s.data[start:s.pos]
			s.pos++
			return raw, escaped, ""
		case c < ' ':
			return nil, false, "a control character in a string"
		case c == '\\':
			escaped = true
			if fault := s.escape(); fault != "" {
				return nil, false, fault
			}
		default:
			s.pos++
		}
	}
	return nil, false, faultSyntax
}

// escape reads one escape, or two that make a surrogate pair.
func (s *scanner) escape() (fault string) {
	if s.pos+1 >= len(s.data) {
		return faultSyntax
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return ""
	case 'u':
		unit, ok := codeUnit(s.data[s.pos:])
		if !ok {
			return faultSyntax
		}
		s.pos += 6
		if !utf16.IsSurrogate(unit) {
			return ""
		}
		// Half a pair stands for no character: decoders replace it, each in
		// its way, so two names could become one.
		low, ok := codeUnit(s.data[s.pos:])
		if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
			return "an unpaired surrogate"
		}
		s.pos += 6
		return ""
	}
	return faultSyntax
}

// codeUnit reads \uXXXX at the start of b.
func codeUnit(b []byte) (unit rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// unescape resolves the escapes of raw, which str has found to be valid.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			unit, _ := codeUnit(raw[i:])
			if utf16.IsSurrogate(unit) {
				i += 6
				low, _ := codeUnit(raw[i:])
				unit = utf16.DecodeRune(unit, low)
			}
			out = utf8.AppendRune(out, unit)
			i += 4
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

// number reads a number.
func (s *scanner) number() (fault string) {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return faultSyntax
	}
	if s.skip('.') && !s.digits() {
		return faultSyntax
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		if !s.digits() {
			return faultSyntax
		}
	}
	return ""
}

// skip skips c if it follows without white space.
func (s *scanner) skip(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// literal reads true, false or null.
func (s *scanner) literal(word string) (fault string) {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return ""
	}
	return faultSyntax
}
