// Command mutate changes one decision of a package at a time, runs the tests that
// reach it, and prints the changes that no test notices.
//
//	go run -C internal/tools ./cmd/mutate tokens admission/webhook
//
// The packages are folders of the repository. It may take an hour for a package,
// goes on where it was when it is run again, and is no part of .ci/run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/internal/tools/mutate"
)

// excusesFile names the mutants that need not be killed; its path in the repository.
const excusesFile = "internal/tools/mutants.txt"

type config struct {
	root     string
	parallel int
	slow     time.Duration
	with     string
	only     *regexp.Regexp
	fresh    bool
	list     bool
	journal  string
}

func main() {
	var c config
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flag.IntVar(&c.parallel, "parallel", 1, "`number` of mutants at a time")
	flag.DurationVar(&c.slow, "slow", 30*time.Second, "leave tests out that take longer")
	flag.StringVar(&c.with, "with", "", "other `folders` whose tests count too, with commas between them")
	flag.BoolVar(&c.fresh, "fresh", false, "forget what earlier runs killed")
	flag.BoolVar(&c.list, "list", false, "print the mutants and run nothing")
	flag.StringVar(&c.journal, "journal", filepath.Join(cache, "serviceaccount-mutate"), "`folder` for what earlier runs killed")
	only := flag.String("only", "", "only mutants whose name matches the `expression`")
	flag.Parse()
	if c.only, err = regexp.Compile(*only); err == nil {
		c.root, err = repository()
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, c, flag.Args(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func repository() (string, error) {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("not in a checkout of the repository: %w", err)
	}
	return strings.TrimSpace(string(top)), nil
}

func run(ctx context.Context, c config, folders []string, out io.Writer) error {
	if len(folders) == 0 {
		return errors.New("usage: mutate [flags] FOLDER…")
	}
	excuses, err := mutate.ReadExcuses(filepath.Join(c.root, excusesFile))
	if err != nil {
		return err
	}
	var all mutate.Score
	for _, folder := range folders {
		folder = strings.TrimPrefix(filepath.ToSlash(filepath.Clean(folder)), "./")
		score, err := one(ctx, c, folder, excuses, out)
		all.Add(score)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	if len(folders) > 1 && !c.list {
		fmt.Fprintf(out, "all: %v\n", all)
	}
	return nil
}

// one mutates one package.
func one(ctx context.Context, c config, folder string, excuses mutate.Excuses, out io.Writer) (mutate.Score, error) {
	var score mutate.Score
	p, err := mutate.Load(c.root, filepath.Join(c.root, filepath.FromSlash(folder)))
	if err != nil {
		return score, err
	}
	if c.list {
		for _, m := range p.Mutants {
			fmt.Fprintf(out, "%d %s\n", m.Line, m.Name())
		}
		return score, nil
	}
	file := filepath.Join(c.journal, strings.ReplaceAll(folder, "/", "_"))
	if c.fresh {
		_ = os.Remove(file)
	}
	journal, err := mutate.OpenJournal(file)
	if err != nil {
		return score, err
	}
	defer journal.Close()

	options := mutate.Options{
		Folders:  []string{p.Dir},
		Parallel: c.parallel,
		Slow:     c.slow,
		Logf:     func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) },
		Skip: func(m *mutate.Mutant) bool {
			switch {
			case !c.only.MatchString(m.Name()):
				return true
			case journal.Killed(m):
				score.Count(m, mutate.Killed, excuses)
				return true
			}
			return false
		},
	}
	for _, other := range strings.FieldsFunc(c.with, func(r rune) bool { return r == ',' }) {
		options.Folders = append(options.Folders, filepath.Join(c.root, filepath.FromSlash(other)))
	}
	var failed error
	err = mutate.Run(ctx, p, options, func(m *mutate.Mutant, outcome mutate.Outcome) {
		score.Count(m, outcome, excuses)
		if outcome == mutate.Killed {
			failed = errors.Join(failed, journal.Kill(m))
		}
		if _, excused := excuses[m.Name()]; (outcome == mutate.Survived || outcome == mutate.Unreached) && !excused {
			fmt.Fprintf(out, "%s:%d: %v: %s\n%s", m.File, m.Line, outcome, m.Name(), p.Diff(m))
		}
	})
	for _, name := range score.Stale(p, excuses) {
		fmt.Fprintf(out, "%s: excused, but killed or not there: %s\n", excusesFile, name)
	}
	fmt.Fprintf(out, "%s: %v\n", folder, score)
	return score, errors.Join(err, failed)
}
