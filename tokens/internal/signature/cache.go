package signature

import (
	"context"
	"crypto/sha256"
	"math"

	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A digest stands for one token text. The cache keeps no tokens.
type digest [sha256.Size]byte

// digestOf hashes token, of the usual length without allocating.
func digestOf(token string) digest {
	var usual [1536]byte
	return sha256.Sum256(append(usual[:0], token...))
}

// An entry is the key that signed a token, and what follows from the text of the token
// alone: its claims. Only tokens with a good signature enter the cache, so a flood of
// made-up ones changes nothing.
type entry struct {
	by     signer
	claims *payload.Claims
}

func (v *Verifier) remember(d digest, e entry) {
	v.cache.Add(d, e, bounded.SizeOf(e.claims, math.MaxInt64)+int64(len(e.by.keyID)))
}

// remembered returns the claims of a token that is remembered, if the key that signed it
// is still there: the same value, not only an equal one, so that no key is compared with
// one that its source has broken.
func (v *Verifier) remembered(ctx context.Context, d digest) (Result, *Error) {
	e, ok := v.cache.Get(d)
	if !ok {
		return Result{}, nil
	}
	list, err := v.cfg.Keys.PublicKeys(ctx, e.by.keyID)
	if err != nil {
		return Result{}, &Error{Problem: Keys, Err: err}
	}
	for i := range list {
		if list[i].Key == e.by.key {
			return Result{Claims: e.claims, Cached: true}, nil
		}
	}
	return Result{}, nil
}
