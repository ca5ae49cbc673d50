// Rotation replaces the signing key of a running issuer, while three verifiers
// elsewhere verify its tokens: three days in a second, and no token rejected.
//
//	go run ./examples/rotation
//
// The verifiers get the keys only from the issuer's discovery documents. The clock is
// the program's own; with time.Now, and the documents served over https, the same
// code is a real issuer.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "rotation: %v\n", err)
		os.Exit(1)
	}
}

// How often something happens, and for how long.
const (
	tick     = 30 * time.Minute
	duration = 72 * time.Hour
	addAt    = 2 * time.Hour // when the second key is added
)

// run tells what happens, hour by hour.
func run(ctx context.Context, w io.Writer) error {
	s, err := newScene(ctx)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(w, "%4dh  %s\n", int(s.clock.Now().Sub(start).Hours()), fmt.Sprintf(format, args...))
	}
	say("%s signs, three verifiers fetch the published keys", s.name(s.first))
	for ; s.clock.Now().Sub(start) <= duration; s.clock.advance(tick) {
		// Tokens are issued and verified while the keys change.
		working := s.work(ctx)
		if s.clock.Now().Sub(start) == addAt {
			if err := s.add(ctx); err != nil {
				return err
			}
			say("%s is added: it is published and verifies", s.name(s.second))
		}
		steps, _ := s.ring.Plan(s.clock.Now())
		for _, step := range steps {
			if err := s.ring.Take(ctx, step); err != nil {
				return err
			}
			say("%s is %s", s.name(step.ID), strings.ToLower(string(step.Action))+"d")
		}
		if err := working(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "\n%d tokens issued, verified %d times by three verifiers, %d rejected\n", s.issued, s.verified.Load(), s.rejected.Load())
	if err == nil && s.rejected.Load() > 0 {
		err = fmt.Errorf("tokens were rejected, the last one because: %w", s.why())
	}
	return err
}
