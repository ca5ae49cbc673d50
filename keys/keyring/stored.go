package keyring

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// The entries of a ring. Each key is in one of its own, named after its id.
const (
	indexFile     = "ring.json"
	privateSuffix = ".key"
	publicSuffix  = ".pub"
)

// maxAttempts bounds how often a step is tried again because others have taken one.
const maxAttempts = 64

// OpenStore opens the ring in store; the first step creates it. Any number of rings, in any
// number of processes, may have it open: each takes its steps with Swap, on what the others
// have left, and loads the store again every Config.ReloadEvery, on behalf of whoever signs
// or verifies then.
//
// OpenStore returns an error naming every invalid field of cfg, each as a [*ConfigError]:
// also a nil store. Any other error is of the store.
func OpenStore(ctx context.Context, store Store, cfg Config) (*Ring, error) {
	r, err := newRing(cfg, store, true)
	if err != nil {
		return nil, err
	}
	return r, r.open(ctx)
}

// open loads the store for the first time.
func (r *Ring) open(ctx context.Context) error {
	began := r.clock.Now()
	view, err := r.load(ctx, r.current.Load())
	if err != nil {
		return err
	}
	r.current.Store(view)
	r.looked.Store(&began)
	return nil
}

// load returns view as it is after what others have done, or an error when ctx is done: a
// store may hang, as a file system on a network does.
func (r *Ring) load(ctx context.Context, view *ringView) (*ringView, error) {
	type answer struct {
		view *ringView
		err  error
	}
	a, err := flight.Do(ctx, r.guard, func(ctx context.Context) (answer, error) {
		view, err := r.loadNow(ctx, view)
		return answer{view, err}, nil
	})
	if err != nil {
		return nil, readingError(err)
	}
	return a.view, a.err
}

func (r *Ring) loadNow(ctx context.Context, view *ringView) (*ringView, error) {
	for {
		stored, err := r.loadStore(ctx)
		switch {
		case err != nil:
			return nil, readingError(err)
		case stored.Index == nil && view.stored:
			return nil, fmt.Errorf("keyring: reading ring: %s is gone", r.store.Name(indexFile))
		case stored.Version == view.version:
			return view, nil
		case stored.Index == nil:
			next := *view
			next.version = stored.Version
			return &next, nil
		}
		index, err := parseIndex(stored.Index)
		if err != nil {
			return nil, fmt.Errorf("keyring: reading ring: %s %w", r.store.Name(indexFile), err)
		}
		next, err := r.view(view, index, stored)
		if err == nil {
			return next, nil
		}
		// An entry may be missing because its key was retired since the index was
		// read. Then there is another index.
		again, loadErr := r.loadStore(ctx)
		if loadErr != nil || again.Version == stored.Version {
			return nil, err
		}
	}
}

// loadStore returns what is stored, or an error if the store breaks its contract.
func (r *Ring) loadStore(ctx context.Context) (*Stored, error) {
	stored, err := contract.Require(r.store.Load(ctx))
	if err == nil && stored.Index != nil && (stored.Version == "" || stored.Entry == nil) {
		err = errors.New("the store returned an index without a version or entries")
	}
	return stored, err
}

func readingError(err error) error {
	return fmt.Errorf("keyring: reading ring: %w", err)
}

// view returns old with the keys that the index names.
func (r *Ring) view(old *ringView, index *ringIndex, stored *Stored) (_ *ringView, err error) {
	all := make([]Key, len(index.Keys))
	signers, publics := map[string]*keys.LocalSigner{}, map[string]crypto.PublicKey{}
	for i, key := range index.Keys {
		all[i] = key.ringKey()
		switch {
		case key.VerifyOnly && old.publics[key.ID] != nil:
			publics[key.ID] = old.publics[key.ID]
		case key.VerifyOnly:
			publics[key.ID], err = readPublic(key, stored)
		case old.signers[key.ID] != nil:
			signers[key.ID] = old.signers[key.ID]
		default:
			signers[key.ID], err = readPrivate(key, stored)
		}
		if err != nil {
			what, name := "private", key.ID+privateSuffix
			if key.VerifyOnly {
				what, name = "public", key.ID+publicSuffix
			}
			return nil, wrap.Errorf(err, "keyring: error reading %s key file %s", what, r.store.Name(name))
		}
	}
	view := newRingView(all, signers, publics)
	view.version, view.stored = stored.Version, true
	return view, nil
}

var errOtherKey = errors.New("it has another key")

func readPrivate(key indexedKey, stored *Stored) (*keys.LocalSigner, error) {
	data, err := stored.Entry(key.ID + privateSuffix)
	if err != nil {
		return nil, err
	}
	private, err := keys.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(private)
	if err != nil {
		return nil, err
	}
	if signer.PublicKey().ID != key.ID || signer.PublicKey().Algorithm != key.Algorithm {
		return nil, errOtherKey
	}
	return signer, nil
}

func readPublic(key indexedKey, stored *Stored) (crypto.PublicKey, error) {
	data, err := stored.Entry(key.ID + publicSuffix)
	if err != nil {
		return nil, err
	}
	list, err := keys.ParsePublicKeys(data)
	if err != nil {
		return nil, err
	}
	if pub, err := keys.NewPublicKey(list[0]); err != nil || pub.ID != key.ID || pub.Algorithm != key.Algorithm || len(list) != 1 {
		return nil, errOtherKey
	}
	return list[0], nil
}

// change takes a step on what is stored, and tries again on what others have made of it.
// It returns the view after it, which may come with an error: then decide has refused, or
// the store has failed and this is what it has now, as far as is known.
func (r *Ring) change(ctx context.Context, view *ringView, added []newKey, decide func([]Key) ([]Key, error)) (*ringView, error) {
	for attempt := 0; ; attempt++ {
		next, err := r.load(ctx, view)
		if err != nil {
			return view, err
		}
		view = next
		all, err := decide(view.all)
		if err != nil || slices.Equal(all, view.all) {
			return view, err // with the steps that others have taken
		}
		fresh := slices.DeleteFunc(slices.Clone(added), func(k newKey) bool { return find(all, k.public.ID) < 0 })
		change, err := newChange(view.all, all, fresh)
		if err != nil {
			return view, err
		}
		version, err := flight.Do(ctx, r.guard, func(ctx context.Context) (string, error) {
			next, err := r.store.Swap(ctx, view.version, change)
			if err == nil && next == "" {
				err = errors.New("the store returned neither a version nor an error")
			}
			return next, err
		})
		if err == nil {
			view = view.with(all, fresh)
			view.version, view.stored = version, true
			return view, nil
		}
		if !errors.Is(err, ErrConflict) || attempt == maxAttempts {
			if after, loadErr := r.load(ctx, view); loadErr == nil {
				view = after
			}
			return view, fmt.Errorf("keyring: changing ring: %w", err)
		}
		pause := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 4)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// newChange returns the Change from one state of a ring to the next.
func newChange(from, to []Key, added []newKey) (Change, error) {
	index, err := newIndex(to).encode()
	if err != nil {
		return Change{}, err
	}
	change := Change{Index: index, Add: map[string][]byte{}}
	for _, key := range added {
		var name string
		var data []byte
		if key.private != nil {
			name = key.public.ID + privateSuffix
			data, err = keys.EncodePrivateKey(key.private)
		} else {
			name = key.public.ID + publicSuffix
			data, err = keys.EncodePublicKey(key.public.Key)
		}
		if err != nil {
			return Change{}, err
		}
		change.Add[name] = data
	}
	for _, key := range from {
		if find(to, key.ID) < 0 {
			suffix := privateSuffix
			if key.VerifyOnly {
				suffix = publicSuffix
			}
			change.Remove = append(change.Remove, key.ID+suffix)
		}
	}
	return change, nil
}

// encode returns the text of an index.
func (index ringIndex) encode() ([]byte, error) {
	data, err := json.MarshalIndent(index, "", "  ")
	return append(data, '\n'), err
}
