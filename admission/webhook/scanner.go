package webhook

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep the arrays and objects of a review are nested. A pod
	// needs about 20.
	maxDepth = 256
	// maxItems bounds how many containers, volumes, mounts and references are
	// kept of a review, because each takes more memory than the few bytes it may
	// be written in.
	maxItems = 20_000
	// manyKeys is how many keys of an object are compared one by one.
	manyKeys = 24
)

// A scanner reads JSON (RFC 8259) once, from start to end. It is strict where
// decoders differ: keys are never folded, and duplicate keys, invalid UTF-8,
// half surrogates and anything around the value are errors. The texts that it
// returns are parts of src where they can be.
//
// A value that has another type than is read is passed over, and the first of
// them is kept in wrong. Null stands for an absent value, as in encoding/json.
type scanner struct {
	src   string
	pos   int
	depth int
	keys  []string // of the objects that are being read, those of the innermost last
	items int
	wrong error
}

// A syntaxError says where src is not what it must be. It holds nothing of src.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.what, e.offset) }

func (s *scanner) fail(what string) error { return &syntaxError{s.pos, what} }

// end returns an error if anything but white space is left.
func (s *scanner) end() error {
	if s.next(); s.pos < len(s.src) {
		return s.fail("more than one value")
	}
	return nil
}

// next goes to the next byte that is not white space, and returns it, or 0 at the
// end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// object calls member with each key of the object that comes next, to read or skip the
// value. It reports whether there was an object.
func (s *scanner) object(member func(key string) error) (bool, error) {
	if s.next() != '{' {
		return false, s.other("an object")
	}
	if err := s.open(); err != nil {
		return false, err
	}
	base := len(s.keys)
	var index map[string]struct{} // if there are many keys
	for first := true; ; first = false {
		c := s.next()
		if c == '}' && first {
			break
		}
		if c != '"' {
			return false, s.fail("no key")
		}
		start := s.pos
		key, err := s.text()
		if err != nil {
			return false, err
		}
		if index, err = s.addKey(key, base, index, start); err != nil {
			return false, err
		}
		if s.next() != ':' {
			return false, s.fail("no colon after a key")
		}
		s.pos++
		if err := member(key); err != nil {
			return false, err
		}
		if c = s.next(); c == ',' {
			s.pos++
			continue
		}
		if c != '}' {
			return false, s.fail("neither a comma nor the end of an object")
		}
		break
	}
	s.pos++
	s.depth--
	s.keys = s.keys[:base]
	return true, nil
}

// addKey refuses a key that the object whose keys begin at base has already.
func (s *scanner) addKey(key string, base int, index map[string]struct{}, offset int) (map[string]struct{}, error) {
	duplicate := false
	switch keys := s.keys[base:]; {
	case index != nil:
		_, duplicate = index[key]
	case len(keys) < manyKeys:
		for _, k := range keys {
			duplicate = duplicate || k == key
		}
		s.keys = append(s.keys, key)
	default:
		index = make(map[string]struct{}, 2*manyKeys)
		for _, k := range keys {
			index[k] = struct{}{}
		}
		_, duplicate = index[key]
	}
	if duplicate {
		return nil, &syntaxError{offset, "duplicate key " + cut(key)}
	}
	if index != nil {
		index[key] = struct{}{}
	}
	return index, nil
}

// array calls element for each element of the array that comes next, to read or skip
// it. It reports whether there was an array.
func (s *scanner) array(element func(i int) error) (bool, error) {
	if s.next() != '[' {
		return false, s.other("an array")
	}
	if err := s.open(); err != nil {
		return false, err
	}
	for i := 0; ; i++ {
		if s.next() == ']' && i == 0 {
			break
		}
		if err := element(i); err != nil {
			return false, err
		}
		c := s.next()
		if c == ',' {
			s.pos++
			continue
		}
		if c != ']' {
			return false, s.fail("neither a comma nor the end of an array")
		}
		break
	}
	s.pos++
	s.depth--
	return true, nil
}

func (s *scanner) open() error {
	if s.depth == maxDepth {
		return s.fail(fmt.Sprintf("nested deeper than %d", maxDepth))
	}
	s.depth++
	s.pos++
	return nil
}

// keep reports whether one more item may be kept.
func (s *scanner) keep() bool {
	if s.items++; s.items > maxItems && s.wrong == nil {
		s.wrong = fmt.Errorf("more than %d containers, volumes, mounts and references", maxItems)
	}
	return s.items <= maxItems
}

// str reads a text into dst.
func (s *scanner) str(dst *string) error {
	if s.next() != '"' {
		return s.other("a text")
	}
	var err error
	*dst, err = s.text()
	return err
}

// boolean reads true or false into dst.
func (s *scanner) boolean(dst **bool) error {
	c := s.next()
	if c != 't' && c != 'f' {
		return s.other("true or false")
	}
	value := c == 't'
	*dst = &value
	return s.skip()
}

// other passes over a value that is not what it should be, which null is.
func (s *scanner) other(want string) error {
	if s.next() != 'n' && s.wrong == nil {
		s.wrong = s.fail("not " + want)
	}
	return s.skip()
}

// skip reads any value and forgets it.
func (s *scanner) skip() error {
	switch c := s.next(); c {
	case '{':
		_, err := s.object(func(string) error { return s.skip() })
		return err
	case '[':
		_, err := s.array(func(int) error { return s.skip() })
		return err
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number()
		}
	}
	if s.pos >= len(s.src) {
		return s.fail("unexpected end")
	}
	return s.fail("no value")
}

func (s *scanner) literal(want string) error {
	if !strings.HasPrefix(s.src[s.pos:], want) {
		return s.fail("no value")
	}
	s.pos += len(want)
	return nil
}

func (s *scanner) number() error {
	if s.src[s.pos] == '-' {
		s.pos++
	}
	whole := s.pos
	if s.digits() == 0 || s.src[whole] == '0' && s.pos > whole+1 {
		return s.fail("not a number")
	}
	if s.pos < len(s.src) && s.src[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.fail("not a number")
		}
	}
	if s.pos < len(s.src) && s.src[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.src) && (s.src[s.pos] == '+' || s.src[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail("not a number")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// isPlain reports whether c stands for itself in a text and needs no thought.
func isPlain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// text reads the text that comes next, which must start here.
func (s *scanner) text() (string, error) {
	start := s.pos + 1
	for i := start; i < len(s.src); i++ {
		if isPlain(s.src[i]) {
			continue
		}
		if s.src[i] == '"' {
			s.pos = i + 1
			return s.src[start:i], nil
		}
		return s.oddText(start, i)
	}
	s.pos = len(s.src)
	return "", s.fail("text without an end")
}

// oddText reads the rest, from i on, of a text with escapes or non-ASCII
// characters that begins at start.
func (s *scanner) oddText(start, i int) (string, error) {
	var unescaped []byte // nil while the text is what is written
	for s.pos = i; s.pos < len(s.src); {
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			if unescaped != nil {
				return string(unescaped), nil
			}
			return s.src[start : s.pos-1], nil
		case c == '\\':
			if unescaped == nil {
				unescaped = append(make([]byte, 0, s.pos-start+16), s.src[start:s.pos]...)
			}
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			unescaped = utf8.AppendRune(unescaped, r)
		case c < ' ':
			return "", s.fail("control character in a text")
		default:
			r, n := utf8.DecodeRuneInString(s.src[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", s.fail("invalid UTF-8")
			}
			if unescaped != nil {
				unescaped = append(unescaped, s.src[s.pos:s.pos+n]...)
			}
			s.pos += n
		}
	}
	return "", s.fail("text without an end")
}

// escape reads an escape.
func (s *scanner) escape() (rune, error) {
	if s.pos+1 >= len(s.src) {
		return 0, s.fail("escape without an end")
	}
	c := s.src[s.pos+1]
	if c == 'u' {
		r, ok := s.hex(s.pos)
		if !ok {
			return 0, s.fail("bad escape")
		}
		s.pos += 6
		if !utf16.IsSurrogate(r) {
			return r, nil
		}
		second, ok := s.hex(s.pos)
		if r = utf16.DecodeRune(r, second); !ok || r == utf8.RuneError {
			return 0, s.fail("half of a surrogate pair")
		}
		s.pos += 6
		return r, nil
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return 0, s.fail("bad escape")
	}
	s.pos += 2
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

// hex returns the character of the escape \uXXXX at i.
func (s *scanner) hex(i int) (rune, bool) {
	if i+6 > len(s.src) || s.src[i] != '\\' || s.src[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s.src[i+2 : i+6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
