package keys

import (
	"context"
	"errors"
	"io/fs"
	"slices"
)

// The key files of kubeadm.
const (
	kubeadmPrivate = "sa.key"
	kubeadmPublic  = "sa.pub"
)

// importKubeadm makes the first keys of a ring from sa.key and sa.pub, if there
// is a sa.key: in one step, so that it is done whole or not at all.
func (r *Ring) importKubeadm(ctx context.Context) error {
	added, err := r.folder.readKubeadm()
	if err != nil || len(added) == 0 {
		return err
	}
	return r.step(ctx, added, func(keys []RingKey) ([]RingKey, error) {
		if len(keys) > 0 {
			return keys, nil // another process was faster
		}
		now := r.now()
		for _, key := range added {
			if keys, err = r.rules.add(keys, key.ringKey(), now); err != nil {
				return nil, err
			}
			if len(keys) > 1 {
				continue
			}
			if keys, err = r.rules.promote(keys, key.public.ID, now); err != nil {
				return nil, err
			}
		}
		return keys, nil
	})
}

// readKubeadm returns the key of sa.key, and those of sa.pub that are others; or
// nothing if there is no sa.key.
func (f *ringFolder) readKubeadm() ([]newKey, error) {
	name := f.path(kubeadmPrivate)
	private, err := f.readPrivateFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	first, err := newPrivateKey(private)
	if err != nil {
		return nil, explain(err, "error reading private key file %s", name)
	}
	list, err := f.readPublicFile(f.path(kubeadmPublic))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	added := []newKey{first}
	for _, pub := range list {
		key, err := newPublicKey(pub)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(added, func(k newKey) bool { return k.public.ID == key.ID }) {
			added = append(added, newKey{public: key})
		}
	}
	return added, nil
}
