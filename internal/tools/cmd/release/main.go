// Command release prepares a release of all published modules of this
// repository. It changes files and commits nothing; RELEASING.md says what to do
// with them.
//
//	go run -C internal/tools ./cmd/release prepare v0.2.0   # what is tagged
//	go run -C internal/tools ./cmd/release develop          # what follows it
//	go run -C internal/tools ./cmd/release check            # only look
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/internal/tools/release"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: release check | prepare vX.Y.Z | develop")

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("not in a checkout of the repository: %w", err)
	}
	tree, err := release.Open(strings.TrimSpace(string(top)))
	if err != nil {
		return err
	}
	switch {
	case args[0] == "check" && len(args) == 1:
		for _, m := range tree.Published {
			fmt.Fprintln(out, m.Path)
		}
		return nil
	case args[0] == "prepare" && len(args) == 2:
		tags, err := tree.Prepare(args[1], time.Now().UTC())
		if err != nil {
			return err
		}
		return instructions(out, tree, args[1], tags)
	case args[0] == "develop" && len(args) == 1:
		return tree.Develop()
	}
	return errUsage
}

// instructions says what is left to do.
func instructions(out io.Writer, tree *release.Tree, version string, tags []string) error {
	changed, err := tree.Changed()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# Changed: %s\n", strings.Join(changed, " "))
	fmt.Fprintf(out, "git commit --all --message 'Release %s'\n", version)
	for _, tag := range tags {
		fmt.Fprintf(out, "git tag --annotate --message %[1]s %[1]s\n", tag)
	}
	for _, tag := range tags {
		fmt.Fprintf(out, "git push origin %s\n", tag)
	}
	_, err = fmt.Fprint(out, "go run -C internal/tools ./cmd/release develop\n")
	return err
}
