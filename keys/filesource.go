package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// Files are read at most once a second, however many tokens name unknown keys,
// and a file that nobody has touched for quietTime is not being written.
const (
	unknownInterval = time.Second
	quietTime       = 2 * time.Second
)

// FileSourceConfig configures [NewFileSource].
type FileSourceConfig struct {
	// Files are PEM files as [ReadPublicKeyFiles] reads them, each with one key
	// or several: the --service-account-key-file of Kubernetes. Required.
	Files []string
	// ReloadEvery is how often the files are read again, when keys are asked
	// for. Zero means ten seconds. A key that isn't known makes it happen after
	// one second already.
	ReloadEvery time.Duration
	// Now returns the current time, which is also compared with that of the
	// files. If nil, time.Now is used.
	Now func() time.Time
}

// A FileSource is a [Source] of the keys in files, which may change at any time
// (KEY-58). It starts no goroutine: files are read when keys are asked for.
//
// A file may be caught while it is being written. So a change counts only if
// all files were left alone for two seconds, or if two readings have found the
// same. If a file can't be read, has no keys, one that isn't used, or ends in the
// middle of one, the keys that were there before stay, those of all files, and
// [FileSource.Err] says why.
//
// It is safe for concurrent use.
type FileSource struct {
	files []string
	every time.Duration
	now   func() time.Time

	current atomic.Pointer[Set]
	err     atomic.Pointer[error]
	read    atomic.Int64

	mu      sync.Mutex // held while reading
	adopted [sha256.Size]byte
	pending [sha256.Size]byte // what the last reading found
}

// NewFileSource reads the files once, which must succeed, with the errors of
// [ReadPublicKeyFiles].
func NewFileSource(cfg FileSourceConfig) (*FileSource, error) {
	if len(cfg.Files) == 0 || cfg.ReloadEvery < 0 {
		return nil, fmt.Errorf("keys: file source: %d files, ReloadEvery %s, want at least one file and no negative time", len(cfg.Files), cfg.ReloadEvery)
	}
	cfg.ReloadEvery = cmp.Or(cfg.ReloadEvery, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &FileSource{files: slices.Clone(cfg.Files), every: cfg.ReloadEvery, now: cfg.Now}
	found, err := s.readFiles()
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
	s.reloadAfter(s.every)
	list, _ := s.current.Load().PublicKeys(ctx, id)
	if len(list) == 0 {
		s.reloadAfter(min(s.every, unknownInterval))
		list, _ = s.current.Load().PublicKeys(ctx, id)
	}
	return list, nil
}

// Err returns nil if the keys are those of the files as they were last read,
// otherwise why they are older.
func (s *FileSource) Err() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// reloadAfter reads the files if the last time was that long ago and nobody is
// reading them.
func (s *FileSource) reloadAfter(interval time.Duration) {
	now, read := s.now(), time.Unix(0, s.read.Load())
	if now.Sub(read) < interval && !now.Before(read) || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	err := s.reload(now)
	s.err.Store(&err)
	s.read.Store(now.UnixNano())
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
