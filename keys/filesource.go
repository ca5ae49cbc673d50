package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

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
	// asked for. Zero means ten seconds. If an unknown key is asked for, they are
	// read again after one second.
	ReloadEvery time.Duration
	// Observe, if set, is called each time that the files had other keys or could not
	// be used, with the context of the request. It must not call the FileSource.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time, which is compared with that of the files too. If
	// nil, time.Now is used.
	Now func() time.Time
}

// A FileSource is a [Source] of the keys in files, which may change at any time. It
// starts no goroutine: files are read when keys are asked for.
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
	now     func() time.Time

	current atomic.Pointer[Set]
	err     atomic.Pointer[error]
	read    atomic.Int64

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
	s := &FileSource{files: slices.Clone(cfg.Files), every: cfg.ReloadEvery, observe: cfg.Observe, now: cfg.Now}
	// A file on a network may never answer.
	found, err := flight.Do(ctx, flight.NewGuard("the file system", 1), func(context.Context) (*reading, error) { return s.readFiles() })
	if err != nil {
		return nil, err
	}
	set, err := s.parse(found.contents)
	if err != nil {
		return nil, err
	}
	s.adopted, s.pending = found.sum, found.sum
	s.current.Store(set)
	s.read.Store(s.now().UnixNano())
	return s, nil
}

// PublicKeys implements [Source]. It never fails.
func (s *FileSource) PublicKeys(ctx context.Context, id string) ([]PublicKey, error) {
	s.reloadAfter(ctx, s.every)
	list, _ := s.current.Load().PublicKeys(ctx, id)
	if len(list) == 0 {
		s.reloadAfter(ctx, min(s.every, unknownInterval))
		list, _ = s.current.Load().PublicKeys(ctx, id)
	}
	return list, nil
}

// Err returns why the keys are not those of the files as of the last reading: nil if
// they are.
func (s *FileSource) Err() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// reloadAfter reads the files if the last time was that long ago and nobody is
// reading them.
func (s *FileSource) reloadAfter(ctx context.Context, interval time.Duration) {
	now, read := s.now(), time.Unix(0, s.read.Load())
	if now.Sub(read) < interval && !now.Before(read) || !s.mu.TryLock() {
		return
	}
	before := s.current.Load()
	err := s.reload(now)
	s.err.Store(&err)
	s.read.Store(now.UnixNano())
	s.mu.Unlock()
	if set := s.current.Load(); s.observe != nil && (err != nil || set != before) {
		s.observe(ctx, Event{Keys: len(set.keys), Changed: set != before, Err: err})
	}
}

func (s *FileSource) reload(now time.Time) error {
	found, err := s.readFiles()
	if err != nil {
		return err
	}
	settled := found.sum == s.pending || found.quietSince(now)
	s.pending = found.sum
	if found.sum == s.adopted {
		return nil
	}
	set, err := s.parse(found.contents)
	if err != nil {
		return err
	}
	if settled {
		s.adopted = found.sum
		s.current.Store(set)
	}
	return nil
}

// A reading is what the files had.
type reading struct {
	contents [][]byte
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
		r.contents = append(r.contents, data)
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
