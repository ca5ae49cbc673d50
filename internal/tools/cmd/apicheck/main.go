// Command apicheck fails if the API of a published module changed incompatibly
// since the last tag, and CHANGELOG.md doesn't name what changed.
//
//	go run -C internal/tools ./cmd/apicheck
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/kubesa/serviceaccount/internal/tools/apicheck"
	"github.com/kubesa/serviceaccount/internal/tools/release"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "apicheck:", err)
		os.Exit(1)
	}
}

func run() error {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("not in a checkout of the repository: %w", err)
	}
	tree, err := release.Open(strings.TrimSpace(string(top)))
	if err != nil {
		return err
	}
	base, err := apicheck.Base(tree)
	if errors.Is(err, apicheck.ErrNoBase) {
		fmt.Println("apicheck: nothing was compared:", err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := apicheck.Check(tree, base); err != nil {
		return err
	}
	fmt.Printf("apicheck: compatible with %s, but for what CHANGELOG.md names\n", base)
	return nil
}
