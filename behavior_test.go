package serviceaccount_test

import (
	"os/exec"
	"testing"
)

// docs/behavior.md has a line for every rule that tests and comments cite, and
// the tests that cite it.
func TestBehaviorIsListed(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "run", "-C", "internal/tools", "./cmd/behavior").CombinedOutput()
	if err != nil {
		t.Errorf("docs/behavior.md: %v\n%s", err, out)
	}
}
