package strictjson

import (
	"iter"
	"strconv"
	"strings"
)

// Check checks that text is one JSON object that every decoder reads alike: with
// at most maxDepth objects and arrays nested, and with the reserved names as in
// [Scanner.Reserved]. Any error is an [*Error].
func Check(text string, maxDepth int, reserved []string) error {
	s := Scanner{Source: text, MaxDepth: maxDepth, Reserved: reserved}
	s.Object()
	s.Skip()
	return s.End()
}

// Members returns the names of object and their values as in the text, in
// order. The object must have been checked; of anything else, or of a value
// that isn't an object, it returns what comes before the first error.
func Members(object string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		s := checked(object)
		for name := range s.Members {
			value := s.Raw()
			if value == "" || !yield(name, value) {
				return
			}
		}
	}
}

// Elements is [Members] for the elements of an array.
func Elements(array string) iter.Seq[string] {
	return func(yield func(value string) bool) {
		s := checked(array)
		for range s.Elements {
			value := s.Raw()
			if value == "" || !yield(value) {
				return
			}
		}
	}
}

// maxCheckedDepth is above any limit that callers set and bounds the stack.
const maxCheckedDepth = 1000

func checked(value string) Scanner { return Scanner{Source: value, MaxDepth: maxCheckedDepth} }

// Text returns what value stands for if it is a string: a copy, so that who
// keeps it doesn't keep all of the text that it comes from.
func Text(value string) (text string, ok bool) {
	s := checked(value)
	text = s.Text()
	return strings.Clone(text), s.End() == nil
}

// Integer returns value if it is a number without fraction and exponent that
// fits.
func Integer(value string) (n int64, ok bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}
