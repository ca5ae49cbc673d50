package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// A marker is what a text has in it that can't be read before something is done to it.
type marker struct {
	pattern *regexp.Regexp
	what    string // it looks like
	cure    string
}

const render = "render it first"

// markers are those that good manifests rarely have; valueMarkers only mean something
// in a value that was denied. certain ones mean the same in every text: ytt hides what to
// replace in comments, and SOPS replaces values.
var (
	certain = []marker{
		{regexp.MustCompile(`#@`), "a ytt template", render},
		{regexp.MustCompile(`\bENC\[AES256_GCM,`), "a file encrypted with SOPS", "decrypt it first"},
	}
	markers = append([]marker{
		{regexp.MustCompile(`\{\{`), "a Helm, Go or Jinja template", render},
		{regexp.MustCompile(`\{%`), "a Jinja template", render},
		{regexp.MustCompile(`<%`), "an ERB template", render},
		{regexp.MustCompile(`\$\{`), "a template for envsubst, Terraform or a shell", render},
		{regexp.MustCompile(`@@\w+@@|__[A-Z][A-Z_]*__|\{[A-Za-z_]\w*\}`), "a template", render},
	}, certain...)
	valueMarkers = append([]marker{
		{regexp.MustCompile(`\$\(`), "a template of kustomize or OpenShift", render},
		{regexp.MustCompile(`\(\(`), "a Concourse template", render},
		{regexp.MustCompile(`\[\[|<[\w .-]+>|\$[A-Z_]+`), "a template", render},
	}, markers...)
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// templateOf says what a text looks like that isn't meant to be read as it is, and
// where. It is only a guess: a script in a good manifest may look the same. So only the
// certain ones count if d was read, or its error is about what no value can change.
func templateOf(d document, t text) string {
	if isKustomization(d) {
		return "a kustomization: build it first (kubectl kustomize)"
	}
	switch strings.ToLower(filepath.Base(d.source)) {
	case "chart.yaml", "values.yaml", "requirements.yaml":
		return "a part of a Helm chart: render it first (helm template)"
	}
	candidates := markers
	if _, ok := errors.AsType[contentError](d.err); ok || d.err == nil || runtime.IsStrictDecodingError(d.err) {
		candidates = certain
	}
	number := t.line
	for line := range bytes.Lines(t.data) {
		comment := bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#"))
		for _, m := range candidates {
			if found := m.pattern.Find(line); found != nil && (!comment || found[0] == '#') {
				return fmt.Sprintf("%s, which has %s in line %d: %s", m.what, found, number, m.cure)
			}
		}
		number++
	}
	return ""
}

// denialTemplate says what a text looks like because of a value that is to be replaced,
// which the text of a denial shows in quotes; empty if it shows none.
func denialTemplate(reason string) string {
	for _, value := range quoted.FindAllString(reason, -1) {
		for _, m := range valueMarkers {
			if found := m.pattern.FindString(value); found != "" {
				return m.what + ", which has " + found + " in this value: " + m.cure
			}
		}
	}
	return ""
}
