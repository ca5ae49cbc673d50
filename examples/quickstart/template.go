package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// marker is what an unrendered template has in it.
type marker struct {
	pattern  *regexp.Regexp
	language string
}

// markers are those that good manifests rarely have; valueMarkers only mean something
// in a value that was denied.
var (
	markers = []marker{
		{regexp.MustCompile(`\{\{`), "a Helm, Go or Jinja template"},
		{regexp.MustCompile(`\{%`), "a Jinja template"},
		{regexp.MustCompile(`<%`), "an ERB template"},
		{regexp.MustCompile(`\$\{`), "a template for envsubst, Terraform or a shell"},
		{regexp.MustCompile(ytt), "a ytt template"},
		{regexp.MustCompile(`@@\w+@@|__[A-Z][A-Z_]*__`), "a template"},
	}
	valueMarkers = append([]marker{
		{regexp.MustCompile(`\$\(`), "a template of kustomize or OpenShift"},
		{regexp.MustCompile(`\(\(`), "a Concourse template"},
		{regexp.MustCompile(`\[\[|<[\w .-]+>|\$[A-Z_]+`), "a template"},
	}, markers...)
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// ytt is the marker of a template whose values are comments.
const ytt = "#@"

// templateOf says what a text looks like that isn't meant to be read as it is, and
// where. It is only a guess: a script in a good manifest may look the same.
func templateOf(source string, t text) string {
	if isKustomization(source) {
		return "a kustomization: build it first (kubectl kustomize)"
	}
	switch strings.ToLower(filepath.Base(source)) {
	case "chart.yaml", "values.yaml", "requirements.yaml":
		return "a part of a Helm chart: render it first (helm template)"
	}
	number := t.line
	for line := range bytes.Lines(t.data) {
		comment := bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#"))
		for _, m := range markers {
			if found := m.pattern.Find(line); found != nil && (!comment || string(found) == ytt) {
				return fmt.Sprintf("%s, which has %s in line %d: render it first", m.language, found, number)
			}
		}
		number++
	}
	return ""
}

func isKustomization(source string) bool {
	name := strings.ToLower(filepath.Base(source))
	return name == "kustomization.yaml" || name == "kustomization.yml"
}

// denialTemplate says what a text looks like because of a value that is to be replaced,
// which the text of a denial shows in quotes; empty if it shows none.
func denialTemplate(reason string) string {
	for _, value := range quoted.FindAllString(reason, -1) {
		for _, m := range valueMarkers {
			if found := m.pattern.FindString(value); found != "" {
				return m.language + ", which has " + found + " in this value: render it first"
			}
		}
	}
	return ""
}
