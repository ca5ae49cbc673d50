package tokens

import (
	"crypto/sha256"
	"math"

	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// A digest stands for one token text. The cache keeps no tokens.
type digest [sha256.Size]byte

// A signatureCache remembers which tokens were signed by which key, and what
// follows from the text of such a token alone: its claims. Only tokens with a
// good signature enter, so a flood of made-up ones changes nothing.
type signatureCache = bounded.Cache[digest, signatureEntry]

type signatureEntry struct {
	signedBy
	claims *payload.Claims
}

// size returns how many bytes e holds on to.
func (e *signatureEntry) size() int64 {
	return bounded.SizeOf(e.claims, math.MaxInt64) + int64(len(e.keyID))
}
