package keeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
)

// Back-off of a [Folder] whose renewal fails.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// FolderConfig configures [NewFolder].
type FolderConfig struct {
	Dir string // required; it must exist

	// Fill is required. It returns all files of the folder, and when they must be renewed
	// at the latest: when the first token in them expires; zero for never. [Payload] is
	// one. Its context ends after 30 s.
	Fill func(ctx context.Context) (files map[string]File, expiry time.Time, err error)

	// Observe, if set, is called after each renewal and each failure. It must be fast and
	// safe for concurrent use.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// A Folder keeps the files of a folder fresh. It is safe for concurrent use. Two of them
// must not have the same folder.
type Folder struct {
	cfg   FolderConfig
	guard *flight.Guard

	mu       sync.Mutex
	fresh    age.Span // without an end: for ever, once filled
	expiry   time.Time
	filled   bool
	failures int
	pause    age.Span // after a failure
}

// NewFolder returns a Folder, or an error naming every invalid field, each as a
// [*ConfigError]. It writes nothing.
func NewFolder(cfg FolderConfig) (*Folder, error) {
	mistakes := configerror.List{Config: "keeper.FolderConfig"}
	if cfg.Dir == "" {
		mistakes.Add("Dir", "is empty, want a folder")
	}
	mistakes.Require("Fill", cfg.Fill, "a function that returns the files")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Folder{cfg: cfg, guard: flight.NewGuard("the function Fill", 4)}, nil
}

// A filling is what Fill returns.
type filling struct {
	files  map[string]File
	expiry time.Time
}

// Sync renews the files if it is time, and returns when to call it again; zero if never.
// After a failure, which leaves the old files, that is in a second, or up to a minute if
// it keeps failing; earlier calls do nothing.
func (f *Folder) Sync(ctx context.Context) (next time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	switch {
	case f.pause.Holds(now):
		return f.pause.Until, nil
	case f.filled && (f.fresh.Until.IsZero() || f.fresh.Holds(now)):
		return f.fresh.Until, nil
	}
	began := time.Now()
	err = f.fill(ctx, now)
	if f.cfg.Observe != nil {
		e := Event{Name: f.cfg.Dir, Expiry: f.expiry, Err: err, Took: time.Since(began)}
		e.Panic, e.Stack = flight.PanicOf(err)
		f.cfg.Observe(ctx, e)
	}
	if err != nil {
		pause := min(longestPause, firstPause<<min(f.failures, 10))
		f.failures++
		now := f.cfg.Now()
		f.pause = age.Span{From: now, Until: now.Add(pause)}
		return f.pause.Until, err
	}
	f.failures, f.pause = 0, age.Span{}
	return f.fresh.Until, nil
}

// fill writes what Fill returns. f.mu is held.
func (f *Folder) fill(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	got, err := flight.Do(ctx, f.guard, func(ctx context.Context) (filling, error) {
		files, expiry, err := f.cfg.Fill(ctx)
		return filling{files, expiry}, err
	})
	if err != nil {
		return err
	}
	if !got.expiry.IsZero() && !now.Before(got.expiry) {
		return errors.New("keeper: a token of the new files has expired already")
	}
	if _, err := WriteVolume(f.cfg.Dir, got.files); err != nil {
		return err
	}
	f.filled, f.expiry = true, got.expiry
	f.fresh = age.Span{From: now, Until: renewalOf(now, got.expiry, f.cfg.Dir)}
	return nil
}

// Run calls Sync until ctx is done, and returns its error. Failures are left to Observe.
func (f *Folder) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		next, _ := f.Sync(ctx)
		if next.IsZero() { // nothing expires
			<-ctx.Done()
			return ctx.Err()
		}
		timer.Reset(max(next.Sub(f.cfg.Now()), firstPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
