package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape returns the character of the escape that text begins with, and the
// length of the escape: that of two if they are a surrogate pair. The length is
// 0 if there is a problem.
func unescape(text string) (r rune, length int, problem string) {
	if len(text) < 2 {
		return r, 0, "string without an end"
	}
	switch c := text[1]; c {
	case '"', '\\', '/':
		return rune(c), 2, ""
	case 'b':
		return '\b', 2, ""
	case 'f':
		return '\f', 2, ""
	case 'n':
		return '\n', 2, ""
	case 'r':
		return '\r', 2, ""
	case 't':
		return '\t', 2, ""
	}
	unit, ok := codeUnit(text)
	if !ok {
		return r, 0, "bad escape"
	}
	if !utf16.IsSurrogate(unit) {
		return unit, 6, ""
	}
	// Half a pair stands for no character: decoders replace it, each in its
	// way, so two names could become one.
	low, _ := codeUnit(text[6:]) // what is cut short is no surrogate
	if r = utf16.DecodeRune(unit, low); r == utf8.RuneError {
		return r, 0, "unpaired surrogate"
	}
	return r, 12, ""
}

// codeUnit reads the escape \uXXXX that text begins with.
func codeUnit(text string) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return unit, false
	}
	for _, c := range []byte(text[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return unit, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}
