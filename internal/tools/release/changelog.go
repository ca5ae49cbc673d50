package release

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	changelogFile     = "CHANGELOG.md"
	unreleasedHeading = "## Unreleased\n"
)

// editChangelog replaces CHANGELOG.md by what edit makes of it.
func (t *Tree) editChangelog(edit func(string) (string, error)) error {
	name := t.path(changelogFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text, err := edit(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", changelogFile, err)
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// Unreleased returns what a changelog says of the coming version.
func Unreleased(text string) (string, error) {
	_, rest, ok := strings.Cut(text, "\n"+unreleasedHeading)
	if !ok {
		return "", errors.New(`there is no heading "## Unreleased"`)
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	return strings.TrimSpace(section), nil
}

// released gives the section of what is unreleased the heading of version.
func released(text, version string, day time.Time) (string, error) {
	section, err := Unreleased(text)
	if err != nil {
		return "", err
	}
	if section == "" {
		return "", errors.New(`there is nothing below "## Unreleased"`)
	}
	heading := fmt.Sprintf("## %s - %s\n", version, day.Format(time.DateOnly))
	return strings.Replace(text, "\n"+unreleasedHeading, "\n"+heading, 1), nil
}

// unreleased adds the heading for what is to come.
func unreleased(text string) (string, error) {
	if _, err := Unreleased(text); err == nil {
		return "", errors.New(`there is a heading "## Unreleased" already`)
	}
	before, after, ok := strings.Cut(text, "\n## ")
	if !ok {
		return "", errors.New("there is no released version")
	}
	return before + "\n" + unreleasedHeading + "\n## " + after, nil
}
