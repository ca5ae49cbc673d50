package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// line matches a row of the document: | ADM-1 | meaning | tests |.
var line = regexp.MustCompile(`^\| ([A-Z]{3}-T?|[A-Z])(\d+)([a-z]?) \| (.*?) \|(.*)\|$`)

// rewrite returns the document with the tests that cite each rule, without the rules
// that nothing cites. Its error joins all that a person has to mend.
func rewrite(text string, cited []citation) (string, error) {
	var out strings.Builder
	var errs []error
	listed := map[rule]bool{}
	for l := range strings.Lines(text) {
		m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
		if m == nil {
			out.WriteString(l)
			continue
		}
		r := rule{m[1], atoi(m[2]), m[3]}
		tests, everywhere := citing(r, cited)
		switch {
		case listed[r]:
			errs = append(errs, fmt.Errorf("%s: %s has two lines", document, r))
		case strings.TrimSpace(m[4]) == "":
			errs = append(errs, fmt.Errorf("%s: %s has no meaning", document, r))
		}
		listed[r] = true
		if !everywhere {
			continue
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", r, m[4], cmp.Or(tests, "–"))
	}
	return out.String(), errors.Join(append(errs, unlisted(listed, cited)...)...)
}

// citing returns the tests that cite a rule, and whether anything does.
func citing(r rule, cited []citation) (tests string, everywhere bool) {
	var names []string
	for _, c := range cited {
		if !c.contains(r) {
			continue
		}
		everywhere = true
		if c.test != "" {
			names = append(names, "`"+c.test+"`")
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", "), everywhere
}

// unlisted returns an error for each rule that is cited and has no line. The ends
// of a range need one; between them the catalogue has gaps.
func unlisted(listed map[rule]bool, cited []citation) []error {
	missing := map[rule][]string{}
	for _, c := range cited {
		for _, r := range []rule{c.first, c.last} {
			if !listed[r] {
				missing[r] = append(missing[r], c.where)
			}
		}
	}
	var errs []error
	for r, where := range missing {
		slices.Sort(where)
		errs = append(errs, fmt.Errorf("%s has no line for %s, which is cited in %s", document, r, strings.Join(slices.Compact(where), ", ")))
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errs
}
