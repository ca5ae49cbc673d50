// Command behavior keeps docs/behavior.md in step with the code: which tests cite
// which rule. People write the meanings of the rules; the command writes the lists
// of tests beside them.
//
//	go run -C internal/tools ./cmd/behavior -w     rewrite the lists, drop rules that nothing cites
//	go run -C internal/tools ./cmd/behavior        fail if anything is missing or stale
//
// It reads every Go file of the repository and docs/deviations.md, and fails if a
// rule that they cite has no line, or if a line has no meaning.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// The document, and another one that cites rules.
const (
	document   = "docs/behavior.md"
	deviations = "docs/deviations.md"
)

func main() {
	write := flag.Bool("w", false, "rewrite the lists of tests in "+document)
	root := flag.String("root", "../..", "`folder` of the repository")
	flag.Parse()
	if err := run(*root, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, write bool) error {
	old, err := os.ReadFile(path.Join(root, document))
	if err != nil {
		return err
	}
	cited, err := citationsOf(os.DirFS(root))
	if err != nil {
		return err
	}
	text, err := rewrite(string(old), cited)
	if write && text != string(old) {
		return errors.Join(err, os.WriteFile(path.Join(root, document), []byte(text), 0o644))
	}
	if !bytes.Equal(old, []byte(text)) {
		err = errors.Join(err, errors.New(document+" is stale, run: go run -C internal/tools ./cmd/behavior -w"))
	}
	return err
}

// citationsOf reads the Go files below root, and the list of deviations.
func citationsOf(root fs.FS) ([]citation, error) {
	var cited []citation
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || name == "internal/tools"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") && name != deviations:
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if name == deviations {
			for _, s := range spansIn(string(text), true) {
				cited = append(cited, citation{span: s, where: name})
			}
			return nil
		}
		found, err := citationsInGo(name, text)
		cited = append(cited, found...)
		return err
	})
	return cited, err
}
