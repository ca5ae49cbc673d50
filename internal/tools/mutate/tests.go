package mutate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A test is one of a binary: its name, how long it takes and what it reaches.
type test struct {
	binary, dir string
	name        string
	takes       time.Duration
	reaches     map[int]bool
}

// memory bounds what a mutant may take, in KiB of address space, where the shell
// can: one that appends for ever must not take the machine.
const memory = 8 << 20

// run runs tests of one binary and reports whether they passed.
func run(ctx context.Context, binary, dir, pattern string, limit time.Duration, environment ...string) (passed bool, out []byte, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	script := fmt.Sprintf(`ulimit -v %d 2>/dev/null; exec "$0" "$@"`, memory)
	cmd := exec.CommandContext(limited, "sh", "-c", script, binary, "-test.run", pattern, "-test.failfast", "-test.timeout", limit.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment...)
	cmd.WaitDelay = time.Second
	out, err = cmd.CombinedOutput()
	if ctx.Err() != nil {
		return false, nil, ctx.Err()
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed || limited.Err() != nil || errors.Is(err, exec.ErrWaitDelay) {
		return false, out, nil
	}
	return err == nil, out, err
}

var testName = regexp.MustCompile(`^(?:Test|Fuzz|Example)\w*$`)

// record runs each test of a binary alone and without mutants, and notes what it
// reaches. A test that fails alone can't tell anything and is left out.
func record(ctx context.Context, binary, dir, scratch string, slow time.Duration, logf func(string, ...any)) ([]test, error) {
	list, err := output(dir, binary, "-test.list", ".")
	if err != nil {
		return nil, err
	}
	var tests []test
	for name := range strings.FieldsSeq(string(list)) {
		if !testName.MatchString(name) {
			continue
		}
		file, err := os.CreateTemp(scratch, "reached")
		if err != nil {
			return nil, err
		}
		_ = file.Close()
		start := time.Now()
		passed, out, err := run(ctx, binary, dir, only(name), slow, "MUTANTS_REACHED="+file.Name())
		if err != nil {
			return nil, err
		}
		if !passed {
			logf("left out: %s, which fails alone or takes more than %v\n%s", name, slow, indent(tail(out)))
			continue
		}
		reached, err := os.ReadFile(file.Name())
		if err != nil {
			return nil, err
		}
		t := test{binary: binary, dir: dir, name: name, takes: time.Since(start), reaches: map[int]bool{}}
		for line := range bytes.FieldsSeq(reached) {
			if number, err := strconv.Atoi(string(line)); err == nil {
				t.reaches[number] = true
			}
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func only(names ...string) string { return "^(" + strings.Join(names, "|") + ")$" }

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }

func indent(out []byte) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n    ")
}

// A batch is what is run in one process.
type batch struct {
	binary, dir string
	names       []string
	takes       time.Duration
}

// batches orders tests: the quick ones together, first, the slow ones one by one.
func batches(tests []test) []batch {
	tests = slices.Clone(tests)
	slices.SortStableFunc(tests, func(a, b test) int { return cmp.Compare(a.takes, b.takes) })
	var all []batch
	for _, t := range tests {
		last := len(all) - 1
		fits := last >= 0 && all[last].binary == t.binary && all[last].takes+t.takes < 2*time.Second
		if !fits {
			all = append(all, batch{binary: t.binary, dir: t.dir})
			last++
		}
		all[last].names = append(all[last].names, t.name)
		all[last].takes += t.takes
	}
	return all
}

// killed reports whether any of the tests fails with a mutant.
func killed(ctx context.Context, tests []test, id int) (bool, error) {
	for _, b := range batches(tests) {
		limit := 5*time.Second + 5*b.takes
		passed, _, err := run(ctx, b.binary, b.dir, only(b.names...), limit, "MUTANT="+strconv.Itoa(id))
		if err != nil || !passed {
			return !passed && err == nil, err
		}
	}
	return false, nil
}
