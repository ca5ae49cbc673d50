package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"
)

// jsonValues returns t, one YAML document or several JSON values, as JSON
// values with the lines in which they begin. Duplicate names in one mapping are rejected, since which one counts is
// ambiguous. Values before an error are returned with it.
func jsonValues(t text) ([]text, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(t.data), []byte("{")) {
		return yamlValue(t)
	}
	var values []text
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
		start := t.line + bytes.Count(t.data[:dec.InputOffset()-int64(len(value))], []byte("\n"))
		// JSON is YAML; this finds duplicate names.
		if _, err := yaml.YAMLToJSONStrict(value); err != nil {
			return values, inFile(err, text{data: value, line: start})
		}
		values = append(values, text{data: value, line: start})
	}
}

func yamlValue(t text) ([]text, error) {
	if err := checkDocument(t); err != nil {
		return nil, err
	}
	value, err := yaml.YAMLToJSONStrict(t.data)
	if err != nil && bytes.Contains(t.data, []byte("<<")) {
		// What overrides a part of a merged mapping is no duplicate, but the strict parser says so.
		var merging goyaml.MapSlice
		if goyaml.Unmarshal(t.data, &merging) == nil && !repeats(merging) {
			value, err = yaml.YAMLToJSON(t.data)
		}
	}
	if err != nil {
		return nil, inFile(err, t)
	}
	return []text{{data: bytes.TrimSpace(value), line: t.firstLine()}}, nil
}

// repeats reports whether a mapping in value has a name twice. What is merged into it
// isn't there.
func repeats(value any) bool {
	switch value := value.(type) {
	case []any:
		return slices.ContainsFunc(value, repeats)
	case goyaml.MapSlice:
		names := map[string]bool{}
		for _, item := range value {
			if name := fmt.Sprint(item.Key); names[name] || repeats(item.Value) {
				return true
			} else {
				names[name] = true
			}
		}
	}
	return false
}

// checkDocument refuses a text with anything behind its first document, which the parser
// silently ignores, and one whose aliases make much of little: the parser bounds how many
// values they stand for, but not how long those are once they are written out.
func checkDocument(t text) error {
	dec, value := goyaml.NewDecoder(bytes.NewReader(t.data)), any(nil)
	if err := dec.Decode(&value); err != nil && !errors.Is(err, io.EOF) {
		return inFile(err, t)
	}
	aliases := bytes.ContainsRune(t.data, '*') && bytes.ContainsRune(t.data, '&')
	if aliases && sizeOf(value, maxManifest) >= maxManifest {
		return fmt.Errorf("its aliases expand to more than %d bytes", maxManifest)
	}
	switch err := dec.Decode(&value); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("%w; kubectl ignores what follows", inFile(err, t))
	}
	return errors.New("yaml: a document ends without a line \"---\"; kubectl ignores what follows")
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
