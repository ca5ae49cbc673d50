package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

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
	if err := f.cleanUp(); err != nil {
		return view, fmt.Errorf("keyring: changing ring: %w", err)
	}
	added = slices.DeleteFunc(slices.Clone(added), func(k newKey) bool { return find(all, k.public.ID) < 0 })
	for _, key := range added {
		if err := f.writeKey(key); err != nil {
			return view, err
		}
	}
	next := ringIndex{Version: indexVersion, Keys: []indexedKey{}}
	for _, key := range all {
		next.Keys = append(next.Keys, newIndexedKey(key))
	}
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

// cleanUp removes what a writer that was killed has left.
func (f *ringFolder) cleanUp() error {
	if err := files.RemoveTemps(f.fsys, f.dir); err != nil {
		return err
	}
	return f.removeKeys(f.removed)
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
	f.seen, f.removed = data, index.Removed
	return nil
}
