package main

import (
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys/keyring"
)

func TestTakeStep(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	ring, err := keyring.New(keyring.Config{MaxAge: time.Minute, MaxTokenLifetime: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  string // none if empty
	}{
		{0, "add"},
		{0, "promote"}, // nobody knew another key
		{0, "add"},
		{time.Minute, ""}, // verifiers may not know it yet
		{time.Hour, "promote"},
		{time.Minute, "add"},
		{time.Hour, "promote"},
		{3 * time.Hour, "retire"},
	} {
		now = now.Add(step.after)
		var out strings.Builder
		if err := takeStep(t.Context(), ring, now, &out); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if did, done := strings.CutPrefix(first, "done: "); done != (step.want != "") || !strings.HasPrefix(did, step.want) && done {
			t.Errorf("after %v: want %q:\n%s", step.after, step.want, out.String())
		}
	}
}
