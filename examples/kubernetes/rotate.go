package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/keys/keyring"
)

// rotate takes the next step of a key rotation in the folder of a cluster, which may be
// running, and prints the steps that come later.
func rotate(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("rotate", flag.ContinueOnError)
	data := flags.String("data", "", "`folder` of the cluster, as given to it")
	maxAge := flags.Duration("key-max-age", 10*time.Second, "as given to it")
	if err := parseFlags(flags, args, out); err != nil {
		return err
	}
	if *data == "" {
		return errors.New("rotate: no -data, want the folder of the cluster")
	}
	ring, err := keyring.Open(ctx, filepath.Join(*data, "keys"), keyring.Config{MaxAge: *maxAge})
	if err != nil {
		return err
	}
	return takeStep(ctx, ring, time.Now(), out)
}

// takeStep adds a key unless one is waiting to sign; otherwise it takes the first step
// that is safe at now.
func takeStep(ctx context.Context, ring *keyring.Ring, now time.Time, out io.Writer) error {
	waits := false
	for _, key := range ring.Keys() {
		waits = waits || key.State() == keyring.Published
	}
	safe, _ := ring.Plan(now)
	switch {
	case len(safe) > 0:
		if err := ring.Take(ctx, safe[0]); err != nil {
			return err
		}
		fmt.Fprintf(out, "done: %s %s\n", strings.ToLower(string(safe[0].Action)), safe[0].ID)
	case !waits:
		id, err := addKey(ctx, ring)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "done: add %s\n", id)
	}
	for _, key := range ring.Keys() {
		fmt.Fprintf(out, "%-10s %s\n", strings.ToLower(string(key.State())), key.ID)
	}
	_, later := ring.Plan(now)
	for _, step := range later {
		fmt.Fprintf(out, "later: %s %s, not before %s\n", strings.ToLower(string(step.Action)), step.ID, step.Earliest.Format(time.RFC3339))
	}
	return nil
}
