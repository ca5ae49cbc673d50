package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// readDocuments splits a YAML stream or a sequence of JSON values.
func readDocuments(source string, r io.Reader) []document {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	data = toUTF8(data)
	switch {
	case err != nil:
		err = plainPathError(err)
	case len(data) > maxManifest:
		err = fmt.Errorf("larger than %d bytes", maxManifest)
	case bytes.IndexByte(data, 0) >= 0:
		err = errors.New("not a text file: it holds NUL bytes")
	}
	if err != nil {
		return []document{{source: source, err: err}}
	}
	var all []document
	number := 0
	add := func(t text, line int, value []byte, err error) {
		if string(value) == "null" { // such as a text of comments: there is no document
			return
		}
		number++
		docs := []document{{source: source, number: number, line: line, err: err}}
		if err == nil {
			docs = readObject(docs[0], value)
		}
		for i := range docs {
			docs[i].template = templateOf(docs[i], t)
		}
		all = append(all, docs...)
	}
	for _, t := range splitDocuments(data) {
		values, err := jsonValues(t)
		for _, v := range values {
			add(t, v.line, v.data, nil)
		}
		if err != nil {
			add(t, t.firstLine(), nil, err)
		}
	}
	return all
}

// toUTF8 decodes text in UTF-16, which begins with a byte order mark, as kubectl does.
func toUTF8(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

// A text is a piece of a file: one document of YAML, or JSON values.
type text struct {
	data []byte
	line int // of the file in which it begins, from 1
}

// firstLine returns the line of the file in which the text begins to say something.
func (t text) firstLine() int {
	number := t.line
	for line := range bytes.Lines(t.data) {
		if content := bytes.TrimSpace(line); len(content) > 0 && content[0] != '#' {
			return number
		}
		number++
	}
	return t.line
}

// splitDocuments cuts a YAML stream at its document markers, lines that begin
// with "---" or are "...". What follows a marker on its line belongs to the next
// document. Documents without any text, such as one before a leading marker,
// are left out and not counted.
func splitDocuments(data []byte) []text {
	var all []text
	current, number := text{line: 1}, 0
	end := func() {
		if len(bytes.TrimSpace(current.data)) > 0 {
			all = append(all, current)
		}
	}
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimPrefix(line, []byte("\ufeff")) // files may have been joined
		rest, marker := bytes.CutPrefix(line, []byte("---"))
		switch {
		case marker && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))):
			end()
			current = text{data: bytes.Clone(rest), line: number}
		case string(bytes.TrimRight(line, " \t\r\n")) == "...":
			end()
			current = text{line: number + 1}
		default:
			current.data = append(current.data, line...)
		}
	}
	end()
	return all
}
