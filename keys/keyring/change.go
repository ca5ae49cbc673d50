package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/files"
)

// change takes a step under the lock, on what the folder says then. It returns
// the view after it, or nil if the folder could not be read. A view may come
// with an error: then decide has refused, or something is left to clean up.
func (f *ringFolder) change(ctx context.Context, view *ringView, added []newKey, decide func([]Key) ([]Key, error)) (_ *ringView, err error) {
	unlock, err := f.lock(ctx, f.path(lockName))
	if err != nil {
		return nil, fmt.Errorf("keyring: changing ring: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if view, err = f.load(view); err != nil {
		return nil, err
	}
	all, err := decide(view.all)
	if err != nil || slices.Equal(all, view.all) {
		return view, err // with the steps that others have taken
	}
	if err := f.fsys.CheckFolder(f.dir); err != nil {
		return view, fmt.Errorf("keyring: changing ring: %w", err)
	}
	if err := f.cleanUp(); err != nil {
		return view, fmt.Errorf("keyring: changing ring: %w", err)
	}
	added = slices.DeleteFunc(slices.Clone(added), func(k newKey) bool { return find(all, k.public.ID) < 0 })
	if len(added) > 0 { // so that their files are found if this process is killed
		now := newIndex(view.all)
		for _, key := range added {
			now.Adding = append(now.Adding, key.public.ID)
		}
		if err := f.writeIndex(now); err != nil {
			return view, err
		}
	}
	for _, key := range added {
		if err := f.writeKey(key); err != nil {
			return view, err
		}
	}
	next := newIndex(all)
	for _, key := range view.all {
		if find(all, key.ID) < 0 {
			next.Removed = append(next.Removed, key.ID)
		}
	}
	if err := f.writeIndex(next); err != nil {
		return view, err
	}
	view = view.with(all, added)
	if err := f.removeKeys(next.Removed); err != nil {
		return view, fmt.Errorf("keyring: removing the file of a retired key: %w", err)
	}
	return view, nil
}

// cleanUp removes what a writer that was killed has left. The caller has the lock, and has
// loaded the index since.
func (f *ringFolder) cleanUp() error {
	if err := files.RemoveTemps(f.fsys, f.dir); err != nil {
		return err
	}
	return f.removeKeys(f.left)
}

// tidy is cleanUp with the lock, if anything is left.
func (f *ringFolder) tidy(ctx context.Context, view *ringView) (_ *ringView, err error) {
	if left, err := f.hasLeftovers(); err != nil || !left {
		return view, err
	}
	unlock, err := f.lock(ctx, f.path(lockName))
	if err != nil {
		return view, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// What looked left may have been a step that was being taken.
	next, err := f.load(view)
	if err != nil {
		return view, err
	}
	return next, f.cleanUp()
}

func (f *ringFolder) hasLeftovers() (bool, error) {
	names, err := f.fsys.List(f.dir)
	return slices.ContainsFunc(names, func(name string) bool {
		id, _ := strings.CutSuffix(strings.TrimSuffix(name, privateSuffix), publicSuffix)
		return strings.HasPrefix(name, files.TempPrefix) || slices.Contains(f.left, id)
	}), err
}

func (f *ringFolder) removeKeys(ids []string) error {
	for _, id := range ids {
		if err := f.fsys.Remove(f.path(id + privateSuffix)); err != nil {
			return err
		}
		if err := f.fsys.Remove(f.path(id + publicSuffix)); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return f.fsys.SyncDir(f.dir)
}

// writeKey writes the file of a new key.
func (f *ringFolder) writeKey(key newKey) error {
	var name string
	var mode fs.FileMode
	var data []byte
	var err error
	if key.private != nil {
		name, mode = key.public.ID+privateSuffix, 0o600
		data, err = keys.EncodePrivateKey(key.private)
	} else {
		name, mode = key.public.ID+publicSuffix, 0o644
		data, err = keys.EncodePublicKey(key.public.Key)
	}
	if err != nil {
		return err
	}
	if err := files.Replace(f.fsys, f.path(name), data, mode); err != nil {
		return fmt.Errorf("keyring: changing ring: %w", err)
	}
	return nil
}

func (f *ringFolder) writeIndex(index ringIndex) error {
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return fmt.Errorf("keyring: changing ring: %w", err)
	}
	data = append(data, '\n')
	if err := files.Replace(f.fsys, f.path(indexFile), data, 0o644); err != nil {
		return fmt.Errorf("keyring: changing ring: %w", err)
	}
	f.seen, f.left = data, index.leftovers()
	return nil
}
