package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// hungLooks is how many looks at the files may hang.
const hungLooks = 64

// Files are read at most once a second, however many tokens name unknown keys,
// and a file that nobody has touched for quietTime is not being written.
const (
	unknownInterval = time.Second
	quietTime       = 2 * time.Second
)

// FileSourceConfig configures [OpenFileSource].
type FileSourceConfig struct {
	// Files are PEM files as [ReadPublicKeyFiles] reads them, each with one key
	// or more, such as kube-apiserver's --service-account-key-file. Required.
	Files []string
	// ReloadEvery is the interval at which the files are read again while keys are
	// asked for. Zero means ten seconds. If an unknown key is asked for, files that have
	// changed are read again after one second.
	ReloadEvery time.Duration
	// Observe, if set, is called each time that the files had other keys, could not be
	// used, or can be used again, with the context of the request. It must not call the FileSource.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time, which is compared with that of the files too. If
	// nil, time.Now is used.
	Now func() time.Time
}

// A FileSource is a [Source] of the keys in files, which may change at any time. They
// are read when keys are asked for. A file on a network may never answer: a caller that
// waits for it gives up with its context, and meanwhile callers get known keys without
// waiting.
//
// A file may be read while it is being written. So a change counts only once all
// files have been left alone for two seconds, or two readings have found the same. If
// a file can't be read, has no key or an unusable one, or ends within one, the last
// good keys, those of all files, are used, and [FileSource.Err] says why.
//
// It is safe for concurrent use.
type FileSource struct {
	files   []string
	every   time.Duration
	observe func(context.Context, Event)
	clock   age.Clock
	guard   *flight.Guard // of what asks the operating system

	current atomic.Pointer[Set]
	err     atomic.Pointer[error]
	read    atomic.Pointer[age.Time]      // when the last reading that has ended began
	reading atomic.Pointer[age.Time]      // when the one began that has not ended, nil if none
	infos   atomic.Pointer[[]fs.FileInfo] // of the files whose keys are used

	mu      sync.Mutex // held while reading
	adopted [sha256.Size]byte
	pending [sha256.Size]byte // what the last reading found
}

// OpenFileSource reads the files once, until ctx is done, which must succeed. Its errors
// are those of [ReadPublicKeyFiles], of ctx, or name every invalid field, each as a
// [*ConfigError].
func OpenFileSource(ctx context.Context, cfg FileSourceConfig) (*FileSource, error) {
	list := configerror.List{Config: "keys.FileSourceConfig"}
	if len(cfg.Files) == 0 {
		list.Add("Files", "is empty, want at least one file")
	}
	configerror.NotNegative(&list, "ReloadEvery", cfg.ReloadEvery)
	if err := list.Err(); err != nil {
		return nil, err
	}
	cfg.ReloadEvery = cmp.Or(cfg.ReloadEvery, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &FileSource{files: slices.Clone(cfg.Files), every: cfg.ReloadEvery, observe: cfg.Observe, clock: cfg.Now, guard: flight.NewGuard("the file system", hungLooks)}
	began := s.clock.Now()
	found, err := flight.Do(ctx, s.guard, func(context.Context) (*reading, error) { return s.readFiles() })
	if err != nil {
		return nil, err
	}
	set, err := s.parse(found.contents)
	if err != nil {
		return nil, err
	}
	s.adopted, s.pending = found.sum, found.sum
	s.current.Store(set)
	s.infos.Store(&found.infos)
	s.read.Store(&began)
	return s, nil
}

// PublicKeys implements [Source]. The error is that of ctx, or wraps [ErrUnavailable]: the
// id is unknown, but the files can't be read, or have changed and have not been read
// again or have not settled.
func (s *FileSource) PublicKeys(ctx context.Context, id string) ([]PublicKey, error) {
	if s.due(s.every) {
		_, _ = s.look(ctx, func() bool { s.reloadAfter(ctx, s.every); return true }) // Err has what is wrong
	}
	list, _ := s.current.Load().PublicKeys(ctx, id)
	if len(list) > 0 {
		return list, nil
	}
	upToDate, err := s.look(ctx, func() bool {
		if s.upToDate() {
			return true
		}
		s.reloadAfter(ctx, min(s.every, unknownInterval))
		return s.upToDate()
	})
	if list, _ = s.current.Load().PublicKeys(ctx, id); len(list) > 0 {
		return list, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := cmp.Or(err, s.Err()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !upToDate {
		return nil, fmt.Errorf("%w: the files have changed", ErrUnavailable)
	}
	return nil, nil
}

// look calls f, which looks at the files, until ctx is done.
func (s *FileSource) look(ctx context.Context, f func() bool) (bool, error) {
	return flight.Do(ctx, s.guard, func(context.Context) (bool, error) { return f(), nil })
}

// upToDate reports whether the keys are those of the files.
func (s *FileSource) upToDate() bool {
	for i, info := range *s.infos.Load() {
		now, _ := os.Stat(s.files[i]) // a file that isn't there is no file of ours
		if !os.SameFile(now, info) || now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
			return false
		}
	}
	return true
}

// Err returns why the keys are not those of the files as of the last reading, or that one
// does not end: nil if they are.
func (s *FileSource) Err() error {
	if began := s.reading.Load(); began != nil {
		if age := s.clock.Now().Since(*began); age >= s.every {
			return fmt.Errorf("keys: reading the public key files has not ended in %s", age.Round(time.Second))
		}
	}
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// due reports whether the last reading was that long ago.
func (s *FileSource) due(interval time.Duration) bool {
	return s.clock.Now().Since(*s.read.Load()) >= interval
}

// reloadAfter reads the files if the last time was that long ago and nobody is
// reading them.
func (s *FileSource) reloadAfter(ctx context.Context, interval time.Duration) {
	now := s.clock.Now()
	if !s.due(interval) || !s.mu.TryLock() {
		return
	}
	before, failed, began := s.current.Load(), s.err.Load() != nil, time.Now()
	s.reading.Store(&now)
	err := s.reload()
	s.reading.Store(nil)
	s.err.Store(nil)
	if err != nil {
		s.err.Store(&err)
	}
	s.read.Store(&now)
	s.mu.Unlock()
	if set := s.current.Load(); s.observe != nil && (err != nil || failed || set != before) {
		s.observe(ctx, Event{Keys: len(set.keys), Changed: set != before, Err: err, Took: time.Since(began)})
	}
}

func (s *FileSource) reload() error {
	found, err := s.readFiles()
	if err != nil {
		return err
	}
	settled := found.sum == s.pending || found.quietSince(s.clock())
	s.pending = found.sum
	if found.sum == s.adopted {
		s.infos.Store(&found.infos)
		return nil
	}
	set, err := s.parse(found.contents)
	if err != nil {
		return err
	}
	if settled {
		s.adopted = found.sum
		s.current.Store(set)
		s.infos.Store(&found.infos)
	}
	return nil
}

// A reading is what the files had.
type reading struct {
	contents [][]byte
	infos    []fs.FileInfo
	sum      [sha256.Size]byte // of all contents
	modified time.Time         // when the last of them changed
}

// quietSince reports whether nobody has touched the files lately.
func (r *reading) quietSince(now time.Time) bool { return now.Sub(r.modified) >= quietTime }

func (s *FileSource) readFiles() (*reading, error) {
	var r reading
	h := sha256.New()
	for _, name := range s.files {
		data, info, err := files.Disk{}.ReadFile(name)
		if err != nil {
			return nil, wrap.Errorf(err, "keys: error reading public key file %s", name)
		}
		part := sha256.Sum256(data)
		h.Write(part[:])
		r.contents, r.infos = append(r.contents, data), append(r.infos, info)
		if t := info.ModTime(); t.After(r.modified) {
			r.modified = t
		}
	}
	h.Sum(r.sum[:0])
	return &r, nil
}

func (s *FileSource) parse(contents [][]byte) (*Set, error) {
	var list []crypto.PublicKey
	for i, data := range contents {
		keys, err := ParsePublicKeys(data)
		if err == nil && bytes.Count(data, []byte("-----BEGIN ")) != bytes.Count(data, []byte("-----END ")) {
			err = errCutShort
		}
		if err != nil {
			return nil, wrap.Errorf(err, "keys: error reading public key file %s", s.files[i])
		}
		list = append(list, keys...)
	}
	return NewSet(list...)
}

var errCutShort = errors.New("keys: a PEM block is cut short")
