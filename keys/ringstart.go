package keys

import "context"

// EnsureSigning makes sure that the ring has a key that signs, and returns its id: that
// of the one it has, or else of the key that may sign by now and was published first,
// or else of a new one for alg. Call it when a program starts: it may have ended between
// two steps the last time, and replicas that start together agree on one key.
//
// A ring that has keys, but none that may sign yet, gives a [*RotationError] that
// says when: a new key has been published then, and the next call goes on with it. Other
// errors are those of [Generate] and [Ring.Add].
func (r *Ring) EnsureSigning(ctx context.Context, alg Algorithm) (id string, err error) {
	err = r.step(ctx, nil, func(keys []RingKey) ([]RingKey, error) {
		keys, id, err = r.rules.start(keys, r.now())
		return keys, err
	})
	if err != nil || id != "" {
		return id, err
	}
	key, err := Generate(alg)
	if err != nil {
		return "", err
	}
	added, err := newPrivateKey(key)
	if err != nil {
		return "", err
	}
	var early error
	err = r.step(ctx, []newKey{added}, func(keys []RingKey) ([]RingKey, error) {
		keys, id, early = r.rules.start(keys, r.now())
		if id != "" || early != nil {
			return keys, early // another replica was faster
		}
		keys, err := r.rules.add(keys, added.ringKey(), r.now())
		if err != nil {
			return nil, err
		}
		promoted, err := r.rules.promote(keys, added.public.ID, r.now())
		if err != nil {
			early = err
			return keys, nil
		}
		id = added.public.ID
		return promoted, nil
	})
	if err == nil {
		err = early
	}
	return id, err
}
