package keyring

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"slices"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The key files of kubeadm.
const (
	kubeadmPrivate = "sa.key"
	kubeadmPublic  = "sa.pub"
)

// importKubeadm makes the first keys of a ring from sa.key and sa.pub, if there
// is a sa.key: in one step, so that it is done whole or not at all.
func (r *Ring) importKubeadm(ctx context.Context, f *folder) error {
	added, err := f.readKubeadm()
	if len(added) == 0 {
		return err
	}
	return r.step(ctx, added, func(all []Key) ([]Key, error) {
		if len(all) > 0 {
			return all, nil // another process was faster
		}
		now := r.now()
		for _, key := range added {
			if all, err = r.rules.add(all, key.ringKey(), now); err != nil {
				return nil, err
			}
			if len(all) > 1 {
				continue
			}
			if all, err = r.rules.promote(all, key.public.ID, now); err != nil {
				return nil, err
			}
		}
		return all, nil
	})
}

// readKubeadm returns the key of sa.key, and those of sa.pub that are others; or
// nothing if there is no sa.key.
func (f *folder) readKubeadm() ([]newKey, error) {
	data, err := f.entry(kubeadmPrivate)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var private crypto.Signer
	if err == nil {
		private, err = keys.ParsePrivateKey(data)
	}
	var first newKey
	if err == nil {
		first, err = newPrivateKey(private)
	}
	if err != nil {
		return nil, wrap.Errorf(err, "keyring: error reading private key file %s", f.Name(kubeadmPrivate))
	}
	var list []crypto.PublicKey
	data, err = f.entry(kubeadmPublic)
	if err == nil {
		list, err = keys.ParsePublicKeys(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrap.Errorf(err, "keyring: error reading public key file %s", f.Name(kubeadmPublic))
	}
	added := []newKey{first}
	for _, pub := range list {
		key, err := keys.NewPublicKey(pub)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(added, func(k newKey) bool { return k.public.ID == key.ID }) {
			added = append(added, newKey{public: key})
		}
	}
	return added, nil
}
