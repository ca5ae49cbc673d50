package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxManifest bounds one file, so that a wrong path can't exhaust memory.
const maxManifest = 16 << 20

// A document is one object of a manifest: what it is and where it stood. Either
// object is set, or unchecked, skipped or err says why it isn't.
type document struct {
	source    string // file name, or "standard input"
	number    int    // of the document within source, from 1; 0 if there is none
	line      int    // of source in which the document begins, from 1
	item      string // of the object within a List, from "1"; "2.1" in a List of a List; empty outside
	kind      schema.GroupVersionKind
	name      string // namespace/name, as far as it is known
	object    object
	skipped   bool   // the kind isn't one that service accounts have to do with
	unchecked string // why nothing is known of the pods of the document, which has some
	err       error  // the document can't be read
	template  string // what the text looks like if it can't be read before it is rendered
}

// where returns the document's place, for people.
func (d document) where() string {
	switch {
	case d.number == 0:
		return d.source
	case d.item != "":
		return fmt.Sprintf("%s:%d, item %s", d.source, d.line, d.item)
	}
	return fmt.Sprintf("%s:%d", d.source, d.line)
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
	parts, found := kustomizeParts{}, false
	walk := func(path string, entry fs.DirEntry, err error) error {
		name := filepath.Join(folder, path)
		switch {
		case err != nil:
			found = true
			all = append(all, document{source: name, err: plainPathError(err)})
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			found = true
			docs := readEntry(name)
			if slices.ContainsFunc(docs, isKustomization) {
				parts.add(name)
			}
			all = append(all, docs...)
		}
		return nil
	}
	// An error could only come from walk, which returns none.
	_ = fs.WalkDir(os.DirFS(folder), ".", walk)
	parts.mark(all)
	if !found {
		return []document{{source: folder, err: errors.New("no .yaml, .yml or .json file in this folder")}}
	}
	return all
}

// readEntry reads a file of a folder. Nobody has named it, so it is read only if that
// ends: a pipe would be waited for.
func readEntry(name string) []document {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return []document{{source: name, err: plainPathError(err)}}
	case !info.Mode().IsRegular():
		return []document{{source: name, err: errors.New("not a regular file")}}
	}
	return readFile(name)
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
