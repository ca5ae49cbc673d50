package keyring

import (
	"cmp"
	"context"

	"github.com/kubesa/serviceaccount/keys"
)

// EnsureSigning ensures that the ring has a key that signs, and returns its id: that
// of the one that does; or else of the key that was published first of those that may
// sign now, which is promoted; or else of a new one for alg. Call it when a program
// starts: it may have been killed between two steps, and replicas that start together
// agree on one key.
//
// A ring that has keys, but none that may sign yet, gives a [*StepError] that says
// when: a new key has been published by then, and later calls wait for it. Other errors
// are those of [keys.Generate] and [Ring.Add].
func (r *Ring) EnsureSigning(ctx context.Context, alg keys.Algorithm) (id string, err error) {
	err = r.step(ctx, nil, func(all []Key) ([]Key, error) {
		all, id, err = r.rules.start(all, r.now())
		return all, err
	})
	if err != nil || id != "" {
		return id, err
	}
	key, err := keys.Generate(alg)
	if err != nil {
		return "", err
	}
	added, err := newPrivateKey(key)
	if err != nil {
		return "", err
	}
	var early error
	err = r.step(ctx, []newKey{added}, func(all []Key) ([]Key, error) {
		all, id, early = r.rules.start(all, r.now())
		if id != "" || early != nil {
			return all, early // another replica was faster
		}
		all, err := r.rules.add(all, added.ringKey(), r.now())
		if err != nil {
			return nil, err
		}
		promoted, err := r.rules.promote(all, added.public.ID, r.now())
		if err != nil {
			early = err
			return all, nil
		}
		id = added.public.ID
		return promoted, nil
	})
	if err = cmp.Or(err, early); err != nil {
		return "", err
	}
	return id, nil
}
