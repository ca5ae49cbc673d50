package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	lineNumber = regexp.MustCompile(`\bline (\d+):`)

	// parserError matches errors whose lines the YAML parser counts from 0, and
	// syntaxError these and all others that have a line, unless it is the first.
	parserError = regexp.MustCompile(`did not find expected (?:key|node content|'-'|',' or|<)|found (?:undefined tag handle|duplicate %|incompatible YAML)`)
	syntaxError = regexp.MustCompile(`did not find expected|could not find expected|^yaml: found|are not allowed in this context|exceeded max depth`)

	// characterError matches errors of its reader, which have no line.
	characterError = regexp.MustCompile(`UTF-8|control characters|Unicode character`)
)

// inFile returns an error that the YAML parser found in t with the lines counted from the
// beginning of the file.
func inFile(err error, t text) error {
	message := err.Error()
	if strings.Contains(message, "invalid map key") { // its text is the mapping, as Go writes it
		return errors.New("yaml: a mapping or a list stands where a name must stand")
	}
	first := t.line
	switch {
	case characterError.MatchString(message):
		line := t.line + bytes.Count(t.data[:badCharacter(t.data)], []byte("\n"))
		return errors.New(strings.Replace(message, "yaml: ", fmt.Sprintf("yaml: line %d: ", line), 1))
	case !syntaxError.MatchString(message) && !parserError.MatchString(message):
	case !lineNumber.MatchString(message):
		message = strings.Replace(message, "yaml: ", "yaml: line 1: ", 1)
	case parserError.MatchString(message):
		first++
	}
	return errors.New(lineNumber.ReplaceAllStringFunc(message, func(match string) string {
		n, err := strconv.Atoi(match[len("line ") : len(match)-1])
		if err != nil { // it is a number
			return match
		}
		return fmt.Sprintf("line %d:", n+first-1)
	}))
}

// badCharacter returns where data has the first character that YAML doesn't allow.
func badCharacter(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		control := r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85
		if r == utf8.RuneError && size == 1 || control || r == 0xfffe || r == 0xffff {
			return i
		}
		i += size
	}
	return len(data)
}
