package mutate

import (
	"fmt"
	"os"
	"strings"
)

// Excuses are the mutants that nothing needs to kill, with the reason for each.
type Excuses map[string]string

// ReadExcuses reads a file in which each excused mutant stands on a line of its
// own, by its name, and the reason on the lines below it, indented. Lines that
// start with # are comments.
func ReadExcuses(file string) (Excuses, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	excuses, name := Excuses{}, ""
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t") && name != "":
			excuses[name] = strings.TrimSpace(excuses[name] + " " + strings.TrimSpace(line))
		case strings.HasPrefix(line, "\t"):
			return nil, fmt.Errorf("%s:%d: a reason without a mutant", file, i+1)
		default:
			if _, twice := excuses[line]; twice {
				return nil, fmt.Errorf("%s:%d: excused twice: %s", file, i+1, line)
			}
			name = line
			excuses[name] = ""
		}
	}
	for name, reason := range excuses {
		if reason == "" {
			return nil, fmt.Errorf("%s: no reason for %s", file, name)
		}
	}
	return excuses, nil
}
