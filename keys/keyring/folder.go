package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys/internal/files"
)

const lockName = "ring.lock"

// A folder is a [Store] in a folder on a file system. Each entry is a file; the index
// ring.json says which of them the ring has. A key file is written before the index
// names it and removed after the index has forgotten it, so that the index never
// names a key that isn't there. Meanwhile the index lists it as one that is being added
// or has been removed, so that nothing is left of a step whose process was killed, and no
// file is removed that a ring didn't write.
type folder struct {
	dir  string
	fsys files.System
	lock func(ctx context.Context, name string) (unlock func() error, err error)
}

// Open opens the ring in the folder dir, which it creates if there is none. Any number
// of rings, in any number of processes on one file system, may have it open: each takes
// its steps under a lock and notices those of the others within Config.ReloadEvery.
// Whenever a process is killed or the machine stops, the folder opens again with the
// last step taken or not taken, and no key lost.
//
// If the ring has no keys but there is a private key called sa.key, as kubeadm
// writes it, it is imported and signs; the keys of sa.pub that aren't its public half
// are imported as by [Ring.AddPublic]. The two files aren't changed.
//
// Whoever may write to the folder may have anything signed. So it, and the folders and
// links on the way to it, must belong to this user or to root; nobody else may write to
// it, nor to the others, unless they have the sticky bit; see [Config.InsecureParents] for
// volumes of pods. Files must belong to this user
// or to root, too; only their owner may read those of private keys and write any. What
// isn't so, and files that a ring didn't write, are errors. Errors name the file and
// never hold its content. An error naming every invalid field of cfg has each as a
// [*ConfigError].
//
// Open removes what a killed process has left, such as the private key of an Add that
// never came to its end. If that fails the ring opens nevertheless, and Observe gets the
// error.
//
// Open waits, until ctx is done, for another process that takes a step, and for a file
// system on a network. Steps need file
// locks and thus a Unix-like system; elsewhere use [New] or [OpenStore].
func Open(ctx context.Context, dir string, cfg Config) (*Ring, error) {
	return flight.Do(ctx, flight.NewGuard("the file system", 1), func(ctx context.Context) (*Ring, error) {
		return openRing(ctx, dir, cfg, files.Disk{InsecureParents: cfg.InsecureParents}, files.Lock)
	})
}

func openRing(ctx context.Context, dir string, cfg Config, fsys files.System, lock func(context.Context, string) (func() error, error)) (*Ring, error) {
	start := time.Now()
	f := &folder{dir: dir, fsys: fsys, lock: lock}
	r, err := newRing(cfg, f, false)
	if err != nil {
		return nil, err
	}
	if err := f.create(ctx); err != nil {
		return nil, err
	}
	tidyErr := f.tidy(ctx)
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if tidyErr != nil {
		r.tell(ctx, r.current.Load(), start, fmt.Errorf("keyring: removing what a killed process has left: %w", tidyErr))
	}
	if len(r.current.Load().all) == 0 {
		if err := r.importKubeadm(ctx, f); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Name implements [Store].
func (f *folder) Name(entry string) string { return filepath.Join(f.dir, entry) }

// create makes the folder and an index without keys, unless there is one.
func (f *folder) create(ctx context.Context) (err error) {
	if err := f.fsys.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	if err := f.fsys.CheckFolder(f.dir); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	if data, _ := f.readIndex(); data != nil {
		return nil // Load says what is wrong with it
	}
	unlock, err := f.lock(ctx, f.Name(lockName))
	if err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if data, err := f.readIndex(); err != nil || data != nil {
		return nil // as above, or another process was faster
	}
	names, err := f.fsys.List(f.dir)
	if err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	for _, name := range names {
		if id, suffix := strings.CutSuffix(name, privateSuffix); suffix && isID(id) {
			return fmt.Errorf("keyring: opening ring: there are keys but no %s", f.Name(indexFile))
		}
	}
	if err := f.fsys.SyncDir(filepath.Dir(f.dir)); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	if _, err := f.writeIndex(newIndex(nil)); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	return nil
}

// Load implements [Store].
func (f *folder) Load(context.Context) (*Stored, error) {
	data, err := f.readIndex()
	if err != nil {
		return nil, err
	}
	return &Stored{Version: versionOf(data), Index: data, Entry: f.entry}, nil
}

// versionOf returns the version that has an index: its text, also of an empty one.
func versionOf(index []byte) string {
	if index == nil {
		return ""
	}
	return "index " + string(index)
}

// entry reads a key that nobody else may write, and if it is private, read.
func (f *folder) entry(name string) ([]byte, error) {
	name = f.Name(name)
	data, info, err := f.fsys.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); filepath.Ext(name) == privateSuffix && mode&0o077 != 0 {
		return nil, fmt.Errorf("its mode is %#o, want 0600 or stricter", mode)
	}
	return data, checkFile(name, info)
}

// Swap implements [Store], under the lock.
func (f *folder) Swap(ctx context.Context, version string, change Change) (next string, err error) {
	unlock, err := f.lock(ctx, f.Name(lockName))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	data, err := f.readIndex()
	if err != nil {
		return "", err
	}
	if versionOf(data) != version {
		return "", ErrConflict
	}
	if err := f.fsys.CheckFolder(f.dir); err != nil {
		return "", err
	}
	now, err := f.cleanUp(data)
	if err != nil {
		return "", err
	}
	if len(change.Add) > 0 { // so that their files are found if this process is killed
		now.Removed, now.Adding = nil, idsOf(slices.Sorted(maps.Keys(change.Add)))
		if _, err := f.writeIndex(*now); err != nil {
			return "", err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(change.Add)) {
		mode := fs.FileMode(0o644)
		if filepath.Ext(name) == privateSuffix {
			mode = 0o600
		}
		if err := files.Replace(f.fsys, f.Name(name), change.Add[name], mode); err != nil {
			return "", err
		}
	}
	index, err := parseIndex(change.Index)
	if err != nil {
		return "", err
	}
	index.Removed = idsOf(change.Remove)
	if next, err = f.writeIndex(*index); err != nil {
		return "", err
	}
	if err := f.removeKeys(index.Removed); err != nil {
		return "", fmt.Errorf("removing the file of a retired key: %w", err)
	}
	return next, nil
}

// idsOf returns the ids of the keys in entries.
func idsOf(entries []string) []string {
	ids := make([]string, len(entries))
	for i, name := range entries {
		ids[i], _, _ = strings.Cut(name, ".")
	}
	return ids
}

// cleanUp removes what a writer that was killed has left, and returns the index in data. The
// caller has the lock.
func (f *folder) cleanUp(data []byte) (*ringIndex, error) {
	index := new(newIndex(nil))
	if data != nil {
		var err error
		if index, err = parseIndex(data); err != nil {
			return nil, fmt.Errorf("%s %w", f.Name(indexFile), err)
		}
	}
	if err := files.RemoveTemps(f.fsys, f.dir); err != nil {
		return nil, err
	}
	return index, f.removeKeys(index.leftovers())
}

// tidy is cleanUp with the lock, if anything is left.
func (f *folder) tidy(ctx context.Context) (err error) {
	if left, err := f.hasLeftovers(); err != nil || !left {
		return err
	}
	unlock, err := f.lock(ctx, f.Name(lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// What looked left may have been a step that was being taken.
	data, err := f.readIndex()
	if err != nil || data == nil {
		return err
	}
	_, err = f.cleanUp(data)
	return err
}

func (f *folder) hasLeftovers() (bool, error) {
	data, err := f.readIndex()
	if err != nil {
		return false, nil // Load says what is wrong with it
	}
	index, err := parseIndex(data)
	if err != nil {
		return false, nil
	}
	left := index.leftovers()
	names, err := f.fsys.List(f.dir)
	return slices.ContainsFunc(names, func(name string) bool {
		id, _ := strings.CutSuffix(strings.TrimSuffix(name, privateSuffix), publicSuffix)
		return strings.HasPrefix(name, files.TempPrefix) || slices.Contains(left, id)
	}), err
}

func (f *folder) removeKeys(ids []string) error {
	for _, id := range ids {
		if err := f.fsys.Remove(f.Name(id + privateSuffix)); err != nil {
			return err
		}
		if err := f.fsys.Remove(f.Name(id + publicSuffix)); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return f.fsys.SyncDir(f.dir)
}

// writeIndex returns the version that it has written.
func (f *folder) writeIndex(index ringIndex) (string, error) {
	data, err := index.encode()
	if err != nil {
		return "", err
	}
	return versionOf(data), files.Replace(f.fsys, f.Name(indexFile), data, 0o644)
}

// readIndex returns the index, nil if there is none.
func (f *folder) readIndex() ([]byte, error) {
	name := f.Name(indexFile)
	data, info, err := f.fsys.ReadFile(name)
	if err == nil {
		err = checkFile(name, info)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return bytes.Clone(data), err
}

// checkFile returns an error if others may change a file.
func checkFile(name string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("the mode of %s is %#o, it must not be writable by group or others", name, mode)
	}
	return files.CheckOwner(name, info)
}
