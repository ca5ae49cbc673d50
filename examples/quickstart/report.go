package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// outcomes are in the order of the summary.
var outcomes = []outcome{admitted, denied, broken, template, unchecked, created, configured, unchanged, assumed, skipped}

// report writes findings in the format of -o.
func report(w io.Writer, format string, findings []finding) error {
	if format == "json" {
		return reportJSON(w, findings)
	}
	comment := ""
	if format == "yaml" {
		comment = "# "
	}
	for _, f := range findings {
		var b strings.Builder
		if format == "yaml" && f.outcome == admitted {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "%s%-10s  %s\n", comment, f.outcome, printable(headline(f)))
		for line := range strings.Lines(f.reason) {
			fmt.Fprintf(&b, "%s            %s\n", comment, printable(strings.TrimRight(line, "\n")))
		}
		if f.outcome == admitted {
			text, err := showPod(format, f.before, f.pod, f.plan, shortDiff)
			if err != nil {
				return err
			}
			b.WriteString(text)
			if format == "diff" || format == "plan" {
				b.WriteString("\n")
			}
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s%s\n", comment, summary(findings))
	return err
}

// headline says what a finding is about and where it stood.
func headline(f finding) string {
	if f.kind.Kind == "" {
		return f.where()
	}
	return strings.TrimSpace(f.kind.Kind+" "+f.name) + " (" + f.where() + ")"
}

// printable escapes what a terminal or a reader of YAML would take for more than text:
// names come from manifests and folders, and no comment may end before its line does.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// summary counts findings by outcome.
func summary(findings []finding) string {
	counts := count(findings)
	var parts []string
	for _, o := range outcomes {
		if counts[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[o], o))
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

func count(findings []finding) map[outcome]int {
	counts := map[outcome]int{}
	for _, f := range findings {
		counts[f.outcome]++
	}
	return counts
}

// A record is a finding in JSON.
type record struct {
	Source     string         `json:"source"`
	Document   int            `json:"document,omitempty"`
	Line       int            `json:"line,omitempty"`
	Item       string         `json:"item,omitempty"`
	APIVersion string         `json:"apiVersion,omitempty"`
	Kind       string         `json:"kind,omitempty"`
	Name       string         `json:"name,omitempty"`
	Outcome    outcome        `json:"outcome"`
	Reason     string         `json:"reason,omitempty"`
	Pod        map[string]any `json:"pod,omitempty"`
}

func reportJSON(w io.Writer, findings []finding) error {
	out := struct {
		Results []record        `json:"results"`
		Summary map[outcome]int `json:"summary"`
	}{Results: []record{}, Summary: count(findings)}
	for _, f := range findings {
		r := record{
			Source: f.source, Document: f.number, Line: f.line, Item: f.item,
			APIVersion: f.kind.GroupVersion().String(), Kind: f.kind.Kind, Name: f.name,
			Outcome: f.outcome, Reason: f.reason,
		}
		if f.pod != nil {
			pod, err := fieldsOf(f.pod)
			if err != nil {
				return err
			}
			r.Pod = pod
		}
		out.Results = append(out.Results, r)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
