package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// maxManifest bounds one file, so that a wrong path can't exhaust memory.
const maxManifest = 16 << 20

// A document is one object of a manifest: what it is and where it stood. Either
// object is set, or skipped or err says why it isn't.
type document struct {
	source  string // file name, or "standard input"
	number  int    // of the document within source, from 1; 0 if there is none
	item    int    // of the object within a List, from 1; 0 outside of Lists
	kind    schema.GroupVersionKind
	name    string // namespace/name, as far as it is known
	object  object
	skipped bool  // the kind isn't one that service accounts have to do with
	err     error // the document can't be read
}

// where returns the document's place, for people.
func (d document) where() string {
	switch {
	case d.number == 0:
		return d.source
	case d.item > 0:
		return fmt.Sprintf("%s, document %d, item %d", d.source, d.number, d.item)
	}
	return fmt.Sprintf("%s, document %d", d.source, d.number)
}

// readManifests reads every document of the named files, folders and, for "-",
// of stdin. What can't be read becomes a document with an error, so that the
// rest still runs.
func readManifests(names []string, stdin io.Reader) []document {
	var all []document
	for _, name := range names {
		if name == "-" {
			all = append(all, readDocuments("standard input", stdin)...)
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
			all = append(all, document{source: name, err: plainPathError(err)})
		case info.IsDir():
			all = append(all, readFolder(name)...)
		default:
			all = append(all, readFile(name)...)
		}
	}
	return all
}

// readFolder reads the manifests below a folder in lexical order. Folders that
// can't be opened are reported among them.
func readFolder(folder string) []document {
	var all []document
	found := false
	walk := func(path string, entry fs.DirEntry, err error) error {
		name := filepath.Join(folder, path)
		switch {
		case err != nil:
			found = true
			all = append(all, document{source: name, err: plainPathError(err)})
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			found = true
			all = append(all, readFile(name)...)
		}
		return nil
	}
	// An error could only come from walk, which returns none.
	_ = fs.WalkDir(os.DirFS(folder), ".", walk)
	if !found {
		return []document{{source: folder, err: errors.New("no .yaml, .yml or .json file in this folder")}}
	}
	return all
}

func readFile(name string) []document {
	f, err := os.Open(name)
	if err != nil {
		return []document{{source: name, err: plainPathError(err)}}
	}
	defer f.Close()
	return readDocuments(name, f)
}

// plainPathError leaves out the name, which is printed beside the error anyway.
func plainPathError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// readDocuments splits a YAML stream or a sequence of JSON values.
func readDocuments(source string, r io.Reader) []document {
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("larger than %d bytes", maxManifest)
	}
	if err != nil {
		return []document{{source: source, err: plainPathError(err)}}
	}
	var all []document
	number := 0
	for _, text := range splitDocuments(data) {
		values, err := jsonValues(text)
		for _, value := range values {
			number++
			all = append(all, readObject(document{source: source, number: number}, value)...)
		}
		if err != nil {
			number++
			all = append(all, document{source: source, number: number, err: err})
		}
	}
	return all
}

// splitDocuments cuts a YAML stream at its document markers, lines that begin
// with "---" or are "...". What follows a marker on its line belongs to the next
// document. Documents without any text, such as one before a leading marker,
// are left out and not counted.
func splitDocuments(data []byte) [][]byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var all [][]byte
	var current []byte
	end := func() {
		if len(bytes.TrimSpace(current)) > 0 {
			all = append(all, current)
		}
		current = nil
	}
	for line := range bytes.Lines(data) {
		rest, marker := bytes.CutPrefix(line, []byte("---"))
		switch {
		case marker && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))):
			end()
			current = append(current, rest...)
		case string(bytes.TrimRight(line, " \t\r\n")) == "...":
			end()
		default:
			current = append(current, line...)
		}
	}
	end()
	return all
}

// jsonValues returns text, one YAML document or several JSON values, as JSON
// values. Duplicate names in one mapping are rejected, since which one counts is
// ambiguous. Values before an error are returned with it.
func jsonValues(text []byte) ([][]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return yamlValue(text)
	}
	var values [][]byte
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		err := dec.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil && len(values) == 0 {
			// A mapping of YAML in braces looks like JSON at first.
			if flow, yamlErr := yamlValue(text); yamlErr == nil {
				return flow, nil
			}
		}
		if err == nil {
			_, err = yaml.YAMLToJSONStrict(value) // JSON is YAML; this finds duplicate names
		}
		if err != nil {
			return values, err
		}
		values = append(values, value)
	}
}

func yamlValue(text []byte) ([][]byte, error) {
	value, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	return [][]byte{bytes.TrimSpace(value)}, nil
}
