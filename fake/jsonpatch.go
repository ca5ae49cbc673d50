package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// operation is one step of a JSON patch (RFC 6902).
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	From  string          `json:"from"`
	Value json.RawMessage `json:"value"`
}

// The bounds of a JSON patch. Copies of copies double, and what is moved into
// something else nests: without bounds a short patch would make a document that
// no memory or stack can hold.
const (
	maxOperations  = 10000   // as in the API server
	maxCopiedBytes = 3 << 20 // likewise
	maxPathParts   = 1000    // of one path
	maxMovedParts  = 100000  // of the paths that something is moved or copied to
)

func parseJSONPatch(data []byte) ([]operation, error) {
	var operations []operation
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&operations); err != nil {
		return nil, err
	}
	if len(operations) > maxOperations {
		return nil, fmt.Errorf("got %d operations, want at most %d", len(operations), maxOperations)
	}
	return operations, nil
}

// applyJSONPatch applies operations in order. It may change document.
func applyJSONPatch(document any, operations []operation) (any, error) {
	var used spent
	for i, o := range operations {
		var err error
		if document, err = o.apply(document, &used); err != nil {
			return nil, fmt.Errorf("operation %d (%s %s): %w", i, o.Op, o.Path, err)
		}
	}
	return document, nil
}

// spent is how much of the bounds the operations so far have used.
type spent struct{ copiedBytes, movedParts int }

func (o operation) apply(document any, used *spent) (any, error) {
	path, err := parsePointer(o.Path)
	if err != nil {
		return nil, err
	}
	switch o.Op {
	case "remove":
		return edit(document, path, removed)
	case "move", "copy":
		return o.transfer(document, path, used)
	}
	if o.Value == nil {
		return nil, errors.New("no value")
	}
	value, err := decodeDocument(o.Value)
	if err != nil {
		return nil, err
	}
	switch o.Op {
	case "add":
		return edit(document, path, added(value))
	case "replace":
		if _, err := lookUp(document, path); err != nil {
			return nil, err
		}
		return edit(document, path, replaced(value))
	case "test":
		if got, err := lookUp(document, path); err != nil || !reflect.DeepEqual(got, value) {
			return nil, errors.New("test failed")
		}
		return document, nil
	}
	return nil, errors.New("unknown operation")
}

func (o operation) transfer(document any, path []string, used *spent) (any, error) {
	if used.movedParts += len(path); used.movedParts > maxMovedParts {
		return nil, errors.New("too much is moved into something else")
	}
	from, err := parsePointer(o.From)
	if err != nil {
		return nil, err
	}
	value, err := lookUp(document, from)
	if err != nil {
		return nil, err
	}
	if o.Op == "copy" {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if used.copiedBytes += len(data); used.copiedBytes > maxCopiedBytes {
			return nil, fmt.Errorf("more than %d bytes are copied", maxCopiedBytes)
		}
		if value, err = decodeDocument(data); err != nil {
			return nil, err
		}
	} else {
		if len(path) > len(from) && slices.Equal(path[:len(from)], from) {
			return nil, errors.New("can't move into itself")
		}
		if document, err = edit(document, from, removed); err != nil {
			return nil, err
		}
	}
	return edit(document, path, added(value))
}

// parsePointer splits a JSON pointer (RFC 6901).
func parsePointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, errors.New("a path starts with a slash")
	}
	parts := strings.Split(pointer[1:], "/")
	if len(parts) > maxPathParts {
		return nil, fmt.Errorf("a path has at most %d parts", maxPathParts)
	}
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

var errNoPath = errors.New("no such path")

func lookUp(document any, path []string) (any, error) {
	for _, part := range path {
		switch parent := document.(type) {
		case map[string]any:
			value, ok := parent[part]
			if !ok {
				return nil, errNoPath
			}
			document = value
		case []any:
			i, err := index(part, len(parent)-1)
			if err != nil {
				return nil, err
			}
			document = parent[i]
		default:
			return nil, errNoPath
		}
	}
	return document, nil
}

// index reads a list index, at most last.
func index(part string, last int) (int, error) {
	i, err := strconv.Atoi(part)
	if err != nil || i < 0 || i > last || part != strconv.Itoa(i) {
		return 0, errNoPath
	}
	return i, nil
}

// change functions return the container with the member part changed.
type changeMember func(container any, part string) (any, error)

// edit changes the member of document at path, and returns the new document.
func edit(document any, path []string, do changeMember) (any, error) {
	if len(path) == 0 {
		holder, err := do(map[string]any{"": document}, "")
		if err != nil {
			return nil, err
		}
		return holder.(map[string]any)[""], nil
	}
	if len(path) == 1 {
		return do(document, path[0])
	}
	child, err := lookUp(document, path[:1])
	if err != nil {
		return nil, err
	}
	if child, err = edit(child, path[1:], do); err != nil {
		return nil, err
	}
	return replaced(child)(document, path[0])
}

func added(value any) changeMember {
	return func(container any, part string) (any, error) {
		switch c := container.(type) {
		case map[string]any:
			c[part] = value
			return c, nil
		case []any:
			if part == "-" {
				return append(c, value), nil
			}
			i, err := index(part, len(c))
			if err != nil {
				return nil, err
			}
			return slices.Insert(c, i, value), nil
		}
		return nil, errNoPath
	}
}

func replaced(value any) changeMember {
	return func(container any, part string) (any, error) {
		switch c := container.(type) {
		case map[string]any:
			c[part] = value
			return c, nil
		case []any:
			i, err := index(part, len(c)-1)
			if err != nil {
				return nil, err
			}
			c[i] = value
			return c, nil
		}
		return nil, errNoPath
	}
}

func removed(container any, part string) (any, error) {
	switch c := container.(type) {
	case map[string]any:
		if _, ok := c[part]; !ok {
			return nil, errNoPath
		}
		delete(c, part)
		return c, nil
	case []any:
		i, err := index(part, len(c)-1)
		if err != nil {
			return nil, err
		}
		return slices.Delete(c, i, i+1), nil
	}
	return nil, errNoPath
}
