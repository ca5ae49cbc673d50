package jose

import (
	"iter"
	"strconv"
)

// CheckPayload checks that [Parse] would accept payload as the claims of a
// token. Any error is a [*MalformedError].
func CheckPayload(payload []byte) error {
	if fault := checkObject(payload, maxPayloadDepth, reservedNames); fault != "" {
		return &MalformedError{"payload", fault}
	}
	return nil
}

// Members returns the names of object and their values as they stand in the
// text, in order. The object must be one that [Parse] or [CheckObject] has
// accepted; of anything else, or of a value that isn't an object, it returns
// what comes before the first fault.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		s := scanner{data: object}
		if !s.take('{') {
			return
		}
		for {
			name, fault := s.text()
			if fault != "" || !s.take(':') {
				return
			}
			value := s.raw()
			if value == nil || !yield(name, value) || !s.take(',') {
				return
			}
		}
	}
}

// Elements is [Members] for the elements of an array.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		s := scanner{data: array}
		if !s.take('[') {
			return
		}
		for {
			value := s.raw()
			if value == nil || !yield(value) || !s.take(',') {
				return
			}
		}
	}
}

// Text returns what value, which comes from [Members] or [Elements], stands
// for if it is a string.
func Text(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	s := scanner{data: value}
	b, fault := s.text()
	return string(b), fault == ""
}

// Integer returns value, which comes from [Members] or [Elements], if it is a
// number without fraction and exponent that fits.
func Integer(value []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

// raw skips one value and returns it without the white space around it, nil if
// there is none. It counts brackets: the text has been checked before.
func (s *scanner) raw() []byte {
	c := s.peek()
	start := s.pos
	switch c {
	case '"':
		if _, _, fault := s.str(); fault != "" {
			return nil
		}
		return s.data[start:s.pos]
	case '{', '[':
		return s.rawNested()
	}
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case ',', ']', '}', ' ', '\t', '\n', '\r':
			if s.pos == start {
				return nil
			}
			return s.data[start:s.pos]
		}
	}
	if s.pos == start {
		return nil
	}
	return s.data[start:s.pos]
}

func (s *scanner) rawNested() []byte {
	start := s.pos
	for depth := 0; s.pos < len(s.data); {
		switch s.data[s.pos] {
		case '"':
			if _, _, fault := s.str(); fault != "" {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.pos++
		if depth == 0 {
			return s.data[start:s.pos]
		}
	}
	return nil
}
