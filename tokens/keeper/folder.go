package keeper

import (
	"context"
	"errors"
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
	// one. Nil files are an error. Its context ends after 30 s.
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

	turn     chan struct{} // has the one whose turn it is, who may use what follows
	quiet    age.Span      // since the last attempt; without an end: for ever, once filled
	filled   bool
	expiry   time.Time
	failures int
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
	return &Folder{cfg: cfg, guard: flight.NewGuard("the function Fill", 4), turn: make(chan struct{}, 1)}, nil
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
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return f.now().Add(firstPause), ctx.Err()
	}
	now := f.now()
	if f.filled && f.quiet.Until.IsZero() || f.quiet.Holds(now) {
		return f.quiet.Until, nil
	}
	began := time.Now()
	next, err = f.fill(ctx, now)
	if f.cfg.Observe != nil {
		e := Event{Name: f.cfg.Dir, Expiry: f.expiry, Err: err, Took: time.Since(began)}
		e.Panic, e.Stack = flight.PanicOf(err)
		f.cfg.Observe(ctx, e)
	}
	if err != nil {
		now = f.now()
		next = now.Add(min(longestPause, firstPause<<min(f.failures, 6)))
		f.failures++
	} else {
		f.failures, f.filled = 0, true
	}
	f.quiet = age.Span{From: now, Until: next}
	return next, err
}

// now returns the time of the wall clock: the monotonic one stops while a machine is
// suspended, and tokens don't.
func (f *Folder) now() time.Time { return f.cfg.Now().Round(0) }

// fill writes what Fill returns, and returns when to do it again.
func (f *Folder) fill(ctx context.Context, now time.Time) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	got, err := flight.Do(ctx, f.guard, func(ctx context.Context) (filling, error) {
		files, expiry, err := f.cfg.Fill(ctx)
		return filling{files, expiry}, err
	})
	switch {
	case err != nil:
		return next, err
	case got.files == nil: // which would remove all that are there, for good
		return next, errors.New("keeper: Fill returned neither files nor an error")
	case !got.expiry.IsZero() && !now.Before(got.expiry):
		return next, errors.New("keeper: a token of the new files has expired already")
	}
	if _, err := WriteVolume(f.cfg.Dir, got.files); err != nil {
		return next, err
	}
	f.expiry = got.expiry
	return renewalOf(now, got.expiry, f.cfg.Dir), nil
}

// Run calls Sync until ctx is done, and returns its error. Failures are left to Observe. It
// looks at the clock once a minute, which may be set.
func (f *Folder) Run(ctx context.Context) error {
	for {
		next, _ := f.Sync(ctx)
		var due <-chan time.Time
		if !next.IsZero() { // else nothing expires
			due = time.After(min(max(next.Sub(f.now()), firstPause), longestPause))
		}
		select {
		case <-due:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
