package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"
)

// readDocuments splits a YAML stream or a sequence of JSON values.
func readDocuments(source string, r io.Reader) []document {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	switch {
	case err != nil:
		err = plainPathError(err)
	case len(data) > maxManifest:
		err = fmt.Errorf("larger than %d bytes", maxManifest)
	case bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.HasPrefix(data, []byte("\xff\xfe")):
		err = errors.New("in UTF-16, want UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		err = errors.New("not a text file: it holds NUL bytes")
	}
	if err != nil {
		return []document{{source: source, err: err}}
	}
	var all []document
	number := 0
	for _, text := range splitDocuments(data) {
		template := templateOf(source, text)
		values, err := jsonValues(text)
		for _, value := range values {
			number++
			all = append(all, readObject(document{source: source, number: number, template: template}, value)...)
		}
		if err != nil {
			number++
			all = append(all, document{source: source, number: number, template: template, err: err})
		}
	}
	return all
}

// A text is a piece of a file: one document of YAML, or JSON values.
type text struct {
	data []byte
	line int // of the file in which it begins, from 1
}

// splitDocuments cuts a YAML stream at its document markers, lines that begin
// with "---" or are "...". What follows a marker on its line belongs to the next
// document. Documents without any text, such as one before a leading marker,
// are left out and not counted.
func splitDocuments(data []byte) []text {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var all []text
	current, number := text{line: 1}, 0
	end := func() {
		if len(bytes.TrimSpace(current.data)) > 0 {
			all = append(all, current)
		}
	}
	for line := range bytes.Lines(data) {
		number++
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

// jsonValues returns t, one YAML document or several JSON values, as JSON
// values. Duplicate names in one mapping are rejected, since which one counts is
// ambiguous. Values before an error are returned with it.
func jsonValues(t text) ([][]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(t.data), []byte("{")) {
		return yamlValue(t)
	}
	var values [][]byte
	for dec := json.NewDecoder(bytes.NewReader(t.data)); ; {
		line := t.line + bytes.Count(t.data[:dec.InputOffset()], []byte("\n"))
		var value json.RawMessage
		err := dec.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil && len(values) == 0 {
			// A mapping of YAML in braces looks like JSON at first.
			if flow, yamlErr := yamlValue(t); yamlErr == nil {
				return flow, nil
			}
		}
		if err != nil {
			if e, ok := errors.AsType[*json.SyntaxError](err); ok {
				line = t.line + bytes.Count(t.data[:min(int(e.Offset), len(t.data))], []byte("\n"))
			} else if errors.Is(err, io.ErrUnexpectedEOF) {
				line = t.line + bytes.Count(bytes.TrimRight(t.data, " \t\r\n"), []byte("\n"))
			}
			return values, fmt.Errorf("line %d: %w", line, err)
		}
		// JSON is YAML; this finds duplicate names.
		if _, err := yaml.YAMLToJSONStrict(value); err != nil {
			leading := len(value) - len(bytes.TrimLeft(value, " \t\r\n"))
			start := dec.InputOffset() - int64(len(value)-leading)
			return values, inFile(err, t.line+bytes.Count(t.data[:start], []byte("\n")))
		}
		values = append(values, value)
	}
}

func yamlValue(t text) ([][]byte, error) {
	if err := checkAliases(t.data); err != nil {
		return nil, inFile(err, t.line)
	}
	value, err := yaml.YAMLToJSONStrict(t.data)
	if err != nil {
		return nil, inFile(err, t.line)
	}
	return [][]byte{bytes.TrimSpace(value)}, nil
}

var lineNumber = regexp.MustCompile(`\bline (\d+):`)

// inFile returns an error of the YAML parser with the lines counted from the beginning
// of the file, in which the text begins at first.
func inFile(err error, first int) error {
	if strings.Contains(err.Error(), "invalid map key") { // its text is the mapping, as Go writes it
		return errors.New("yaml: a mapping or a list stands where a name must stand")
	}
	return errors.New(lineNumber.ReplaceAllStringFunc(err.Error(), func(match string) string {
		n, err := strconv.Atoi(match[len("line ") : len(match)-1])
		if err != nil { // it is a number
			return match
		}
		return fmt.Sprintf("line %d:", n+first-1)
	}))
}

// checkAliases refuses a document whose aliases make much of little. The parser bounds
// how many values they stand for, but not how long those are once they are written out.
func checkAliases(data []byte) error {
	if !bytes.ContainsRune(data, '*') || !bytes.ContainsRune(data, '&') {
		return nil
	}
	var value any
	if err := goyaml.Unmarshal(data, &value); err != nil {
		return err
	}
	if left := maxManifest - sizeOf(value, maxManifest); left <= 0 {
		return fmt.Errorf("its aliases expand to more than %d bytes", maxManifest)
	}
	return nil
}

// sizeOf returns about how many bytes value has in JSON, or limit if that is less.
func sizeOf(value any, limit int) int {
	size := 2
	switch value := value.(type) {
	case string:
		size += len(value)
	case []any:
		for _, item := range value {
			if size >= limit {
				return limit
			}
			size += sizeOf(item, limit-size)
		}
	case map[any]any:
		for name, item := range value {
			if size >= limit {
				return limit
			}
			size += sizeOf(name, limit-size)
			size += sizeOf(item, limit-size)
		}
	default:
		size += 8
	}
	return min(size, limit)
}
