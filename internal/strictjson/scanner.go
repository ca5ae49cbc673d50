package strictjson

import (
	"context"
	"strings"
	"unicode/utf8"
)

// A Scanner reads one JSON text. The strings that it returns are parts of the
// Source if they have no escapes.
type Scanner struct {
	Source string
	// MaxDepth is how many objects and arrays may be nested; the outermost
	// counts.
	MaxDepth int
	// Reserved names must be spelt as they are here, in every object: a name
	// that equals one only under Unicode case folding is an error.
	Reserved []string
	// NullIsAbsent lets null stand for a missing value of any type, as
	// encoding/json does.
	NullIsAbsent bool
	// Context ends the scan once it is done, unless it is nil. It is looked at
	// before each 1,024th value.
	Context context.Context

	// Mismatch is about the first value of another type than was asked for,
	// which was skipped. [Scanner.End] returns it; before that it may be reset.
	Mismatch *Error

	pos    int
	depth  int
	values int
	err    *Error
}

// End returns the first error in the text, which must not go on after its
// value. Any error is an [*Error].
func (s *Scanner) End() error {
	if s.Next() != 0 || s.pos < len(s.Source) {
		s.Fail("more than one JSON value")
	}
	if s.err == nil {
		s.err = s.Mismatch
	}
	if s.err == nil {
		return nil
	}
	return s.err
}

// Fail ends the scan with an error at the current position, unless there is one
// already.
func (s *Scanner) Fail(problem string) { s.fail(s.pos, problem, "") }

// FailName is [Scanner.Fail] for the name of a member.
func (s *Scanner) FailName(problem, name string) { s.fail(s.pos, problem, name) }

func (s *Scanner) fail(offset int, problem, name string) {
	if s.err == nil {
		s.err = &Error{offset, problem, name}
	}
	s.pos = len(s.Source) // nothing more is found
}

// Next returns the first byte of the value or other token that comes next, 0 at
// the end of the text.
func (s *Scanner) Next() byte {
	for ; s.pos < len(s.Source); s.pos++ {
		switch c := s.Source[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// Want reports whether the value that comes next begins with c. If not, problem is
// the [Scanner.Mismatch], unless there is one.
func (s *Scanner) Want(c byte, problem string) bool {
	if s.Next() == c {
		return true
	}
	s.differ(s.pos, problem)
	return false
}

// Object fails unless an object comes next.
func (s *Scanner) Object() {
	if s.Next() != '{' {
		s.Fail("not a JSON object")
	}
}

// Members yields the names of the object that comes next, for the body to read
// the value. A body that breaks off ends the use of the Scanner.
func (s *Scanner) Members(yield func(name string) bool) {
	if s.Next() != '{' {
		s.mismatch("not an object")
		return
	}
	if s.open() == '}' {
		s.close()
		return
	}
	var names nameSet
	for {
		name := s.name(&names)
		if s.Next() != ':' {
			s.Fail("no colon after a name")
			return
		}
		s.pos++
		s.Next()
		if s.stopped() {
			return
		}
		value := s.pos
		if yield != nil && !yield(name) {
			return
		}
		if s.pos == value {
			s.Skip()
		}
		switch s.Next() {
		case ',':
			s.pos++
		case '}':
			s.close()
			return
		default:
			s.Fail("neither a comma nor the end of an object")
			return
		}
	}
}

// name reads and checks the name of a member.
func (s *Scanner) name(names *nameSet) string {
	if s.Next() != '"' {
		s.Fail("no name")
		return ""
	}
	start := s.pos
	name := s.text(true)
	switch { // after an error, neither changes it
	case !names.add(name):
		s.fail(start, "duplicate name", name)
	case Imitated(name, s.Reserved) != "":
		s.fail(start, "name that differs from a known one only in case", name)
	}
	return name
}

// Elements yields the indexes of the array that comes next, for the body to
// read the element. A body that breaks off ends the use of the Scanner.
func (s *Scanner) Elements(yield func(i int) bool) {
	if s.Next() != '[' {
		s.mismatch("not an array")
		return
	}
	if s.open() == ']' {
		s.close()
		return
	}
	for i := 0; ; i++ {
		s.Next()
		if s.stopped() {
			return
		}
		value := s.pos
		if yield != nil && !yield(i) {
			return
		}
		if s.pos == value {
			s.Skip()
		}
		switch s.Next() {
		case ',':
			s.pos++
		case ']':
			s.close()
			return
		default:
			s.Fail("neither a comma nor the end of an array")
			return
		}
	}
}

// valuesPerCheck is how many values are read between two looks at the Context.
const valuesPerCheck = 1024

// stopped reports whether the scan ends before the value that comes next.
func (s *Scanner) stopped() bool {
	s.values++
	if s.values%valuesPerCheck != 0 || s.Context == nil || s.Context.Err() == nil {
		return false
	}
	s.Fail("not read in time")
	return true
}

// open goes into an object or array and returns what comes next there.
func (s *Scanner) open() byte {
	if s.depth >= s.MaxDepth {
		s.Fail("nested too deeply")
		return 0
	}
	s.depth++
	s.pos++
	return s.Next()
}

func (s *Scanner) close() {
	s.depth--
	s.pos++
}

// Text reads a string.
func (s *Scanner) Text() string {
	if s.Next() != '"' {
		s.mismatch("not a string")
		return ""
	}
	return s.text(true)
}

// Bool reads a boolean. It returns nil if there is none.
func (s *Scanner) Bool() *bool {
	c := s.Next()
	if c != 't' && c != 'f' {
		s.mismatch("not a boolean")
		return nil
	}
	s.Skip()
	value := c == 't'
	return &value
}

// Int reads an integer: a number without fraction and exponent that fits. It
// returns nil if there is none.
func (s *Scanner) Int() *int64 {
	if c := s.Next(); c != '-' && (c < '0' || c > '9') {
		s.mismatch("not an integer")
		return nil
	}
	start := s.pos
	s.Skip()
	if s.err != nil {
		return nil
	}
	n, ok := Integer(s.Source[start:s.pos])
	if !ok {
		s.differ(start, "not an integer")
		return nil
	}
	return &n
}

// Raw reads any value and returns it as in the text.
func (s *Scanner) Raw() string {
	s.Next()
	start := s.pos
	s.Skip()
	if s.err != nil {
		return ""
	}
	return s.Source[start:s.pos]
}

// mismatch skips a value of another type than was asked for.
func (s *Scanner) mismatch(problem string) {
	if !(s.NullIsAbsent && s.Next() == 'n') {
		s.differ(s.pos, problem)
	}
	s.Skip()
}

func (s *Scanner) differ(offset int, problem string) {
	if s.Mismatch == nil {
		s.Mismatch = &Error{offset, problem, ""}
	}
}

// Skip reads any value and forgets it.
func (s *Scanner) Skip() {
	switch s.Next() {
	case '{':
		s.Members(nil)
	case '[':
		s.Elements(nil)
	case '"':
		s.text(false)
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		s.number()
	default:
		s.Fail("no value")
	}
}

func (s *Scanner) literal(want string) {
	if !strings.HasPrefix(s.Source[s.pos:], want) {
		s.Fail("no value")
		return
	}
	s.pos += len(want)
}

func (s *Scanner) number() {
	s.accept('-', '-')
	ok := s.accept('0', '0') || s.digits()
	if s.accept('.', '.') {
		ok = s.digits() && ok
	}
	if s.accept('e', 'E') {
		s.accept('+', '-')
		ok = s.digits() && ok
	}
	if !ok {
		s.Fail("not a number")
	}
}

// accept skips a or b if it comes next.
func (s *Scanner) accept(a, b byte) bool {
	if s.pos < len(s.Source) && (s.Source[s.pos] == a || s.Source[s.pos] == b) {
		s.pos++
		return true
	}
	return false
}

func (s *Scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.Source) && '0' <= s.Source[s.pos] && s.Source[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// plain are the bytes that stand for themselves in a string and need no check.
var plain = func() (set [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		set[c] = c != '"' && c != '\\'
	}
	return set
}()

// text reads the string that comes next. Unless it is kept, escapes are checked
// but not resolved.
func (s *Scanner) text(keep bool) string {
	start := s.pos + 1
	for i := start; i < len(s.Source); i++ {
		if plain[s.Source[i]] {
			continue
		}
		if s.Source[i] == '"' {
			s.pos = i + 1
			return s.Source[start:i]
		}
		return s.oddText(start, i, keep)
	}
	s.fail(len(s.Source), "string without an end", "")
	return ""
}

// oddText is text from i on for a string that begins at start and has escapes
// or more than ASCII.
func (s *Scanner) oddText(start, i int, keep bool) string {
	var resolved strings.Builder // what comes before start
	escaped := false
	for i < len(s.Source) {
		switch c := s.Source[i]; {
		case plain[c]:
			i++
		case c == '"':
			s.pos = i + 1
			if !escaped {
				return s.Source[start:i]
			}
			resolved.WriteString(s.Source[start:i])
			return resolved.String()
		case c == '\\':
			r, n, problem := unescape(s.Source[i:])
			if n == 0 {
				s.fail(i, problem, "")
				return ""
			}
			if keep {
				escaped = true
				resolved.WriteString(s.Source[start:i])
				resolved.WriteRune(r)
				start = i + n
			}
			i += n
		case c < ' ':
			s.fail(i, "control character in a string", "")
			return ""
		default:
			_, n := utf8.DecodeRuneInString(s.Source[i:])
			if n == 1 {
				s.fail(i, "invalid UTF-8", "")
				return ""
			}
			i += n
		}
	}
	s.fail(i, "string without an end", "")
	return ""
}
