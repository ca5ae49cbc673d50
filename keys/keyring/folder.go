package keyring

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The files of a ring. Each key is in a file of its own, named after its id;
// the index says which of them the ring has, and what they do. A key file is
// written before the index names it and removed after the index has forgotten
// it, so that the index never names a key that isn't there. Meanwhile the index lists
// it as one that is being added or has been removed, so that nothing is left of a step
// whose process was killed, and no file is removed that a ring didn't write.
const (
	indexFile     = "ring.json"
	lockName      = "ring.lock"
	privateSuffix = ".key"
	publicSuffix  = ".pub"
)

// A ringFolder is a ring on a file system. Its methods are called one at a time.
type ringFolder struct {
	dir  string
	fsys files.System
	lock func(ctx context.Context, name string) (unlock func() error, err error)

	seen []byte   // the index as last loaded
	left []string // keys whose files that index says are to be removed
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
// never hold its content. Mistakes in cfg are [*ConfigError]s.
//
// Open removes what a killed process has left, such as the private key of an Add that
// never came to its end. If that fails the ring opens nevertheless, and Observe gets the
// error.
//
// Open waits, until ctx is done, for another process that takes a step. Steps need file
// locks and thus a Unix-like system; elsewhere a ring can only be in memory.
func Open(ctx context.Context, dir string, cfg Config) (*Ring, error) {
	return openRing(ctx, dir, cfg, files.Disk{InsecureParents: cfg.InsecureParents}, files.Lock)
}

func openRing(ctx context.Context, dir string, cfg Config, fsys files.System, lock func(context.Context, string) (func() error, error)) (*Ring, error) {
	r, err := New(cfg)
	if err != nil {
		return nil, err
	}
	began, start := r.clock.Now(), time.Now()
	f := &ringFolder{dir: dir, fsys: fsys, lock: lock}
	r.folder = f
	if err := f.create(ctx); err != nil {
		return nil, err
	}
	view, err := f.load(r.current.Load())
	if err != nil {
		return nil, err
	}
	view, tidyErr := f.tidy(ctx, view)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.current.Store(view)
	r.looked.Store(&began)
	if tidyErr != nil {
		r.tell(ctx, view, start, fmt.Errorf("keyring: removing what a killed process has left: %w", tidyErr))
	}
	if len(view.all) == 0 {
		if err := r.importKubeadm(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (f *ringFolder) path(name string) string { return filepath.Join(f.dir, name) }

// create makes the folder and an index without keys, unless there is one.
func (f *ringFolder) create(ctx context.Context) (err error) {
	if err := f.fsys.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	if err := f.fsys.CheckFolder(f.dir); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	if data, _, err := f.readIndex(); err != nil || data != nil {
		return err
	}
	unlock, err := f.lock(ctx, f.path(lockName))
	if err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if data, _, err := f.readIndex(); err != nil || data != nil {
		return err // another process was faster
	}
	names, err := f.fsys.List(f.dir)
	if err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	for _, name := range names {
		if id, suffix := strings.CutSuffix(name, privateSuffix); suffix && isID(id) {
			return fmt.Errorf("keyring: opening ring: there are keys but no %s", f.path(indexFile))
		}
	}
	if err := f.fsys.SyncDir(filepath.Dir(f.dir)); err != nil {
		return fmt.Errorf("keyring: opening ring: %w", err)
	}
	return f.writeIndex(ringIndex{Version: indexVersion, Keys: []indexedKey{}})
}

// load returns view as it is after what others have done.
func (f *ringFolder) load(view *ringView) (*ringView, error) {
	for {
		data, index, err := f.readIndex()
		switch {
		case err != nil:
			return nil, err
		case data == nil:
			return nil, fmt.Errorf("keyring: reading ring: %s is gone", f.path(indexFile))
		}
		if index == nil {
			return view, nil
		}
		next, err := f.view(view, index)
		if err == nil {
			f.seen, f.left = data, index.leftovers()
			return next, nil
		}
		// A file may be missing because its key was retired since the index was
		// read. Then there is another index.
		again, _, readErr := f.readIndex()
		if readErr != nil || bytes.Equal(again, data) {
			return nil, err
		}
	}
}

// view returns old with the keys that the index names.
func (f *ringFolder) view(old *ringView, index *ringIndex) (_ *ringView, err error) {
	all := make([]Key, len(index.Keys))
	signers, publics := map[string]*keys.LocalSigner{}, map[string]crypto.PublicKey{}
	for i, key := range index.Keys {
		all[i] = key.ringKey()
		switch {
		case key.VerifyOnly && old.publics[key.ID] != nil:
			publics[key.ID] = old.publics[key.ID]
		case key.VerifyOnly:
			publics[key.ID], err = f.readPublic(key)
		case old.signers[key.ID] != nil:
			signers[key.ID] = old.signers[key.ID]
		default:
			signers[key.ID], err = f.readPrivate(key)
		}
		if err != nil {
			return nil, err
		}
	}
	return newRingView(all, signers, publics), nil
}

func (f *ringFolder) readPrivate(key indexedKey) (*keys.LocalSigner, error) {
	name := f.path(key.ID + privateSuffix)
	private, err := f.readPrivateFile(name)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(private)
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading private key file %s", name)
	}
	if signer.PublicKey().ID != key.ID || signer.PublicKey().Algorithm != key.Algorithm {
		return nil, fmt.Errorf("keyring: error reading private key file %s: it has another key", name)
	}
	return signer, nil
}

// readPrivateFile reads a private key that nobody else may read.
func (f *ringFolder) readPrivateFile(name string) (crypto.Signer, error) {
	data, info, err := f.fsys.ReadFile(name)
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading private key file %s", name)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("keyring: error reading private key file %s: its mode is %#o, want 0600 or stricter", name, mode)
	}
	if err := files.CheckOwner(name, info); err != nil {
		return nil, fmt.Errorf("keyring: error reading private key file %s: %w", name, err)
	}
	private, err := keys.ParsePrivateKey(data)
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading private key file %s", name)
	}
	return private, nil
}

func (f *ringFolder) readPublic(key indexedKey) (crypto.PublicKey, error) {
	name := f.path(key.ID + publicSuffix)
	list, err := f.readPublicFile(name)
	if err != nil {
		return nil, err
	}
	if pub, err := keys.NewPublicKey(list[0]); err != nil || pub.ID != key.ID || pub.Algorithm != key.Algorithm || len(list) != 1 {
		return nil, fmt.Errorf("keyring: error reading public key file %s: it has another key", name)
	}
	return list[0], nil
}

func (f *ringFolder) readPublicFile(name string) ([]crypto.PublicKey, error) {
	data, info, err := f.fsys.ReadFile(name)
	if err == nil {
		err = checkFile(name, info)
	}
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading public key file %s", name)
	}
	list, err := keys.ParsePublicKeys(data)
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading public key file %s", name)
	}
	return list, nil
}

// readIndex returns the index, no data if there is none, and no index if it is
// the one that was last loaded.
func (f *ringFolder) readIndex() (data []byte, index *ringIndex, err error) {
	name := f.path(indexFile)
	data, info, err := f.fsys.ReadFile(name)
	if err == nil {
		err = checkFile(name, info)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("keyring: reading ring: %w", err)
	case f.seen != nil && bytes.Equal(data, f.seen):
		return data, nil, nil
	}
	index, err = parseIndex(data)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring: reading ring: %s %w", name, err)
	}
	return data, index, nil
}

// checkFile returns an error if others may change a file.
func checkFile(name string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("the mode of %s is %#o, it must not be writable by group or others", name, mode)
	}
	return files.CheckOwner(name, info)
}
