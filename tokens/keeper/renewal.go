package keeper

import (
	"hash/fnv"
	"time"
)

// When a token is renewed (KUB-16, KUB-46).
const (
	renewAfter   = 24 * time.Hour
	renewMargin  = time.Minute // for those who read it
	renewJitter  = 0.1
	shortestWait = 10 * time.Second
)

// renewalOf returns when to renew a token that lives from issued to expiry; zero if it
// never expires. The jitter follows from seed, so that a restart doesn't change it, and
// those that were issued together aren't renewed together.
func renewalOf(issued, expiry time.Time, seed string) time.Time {
	if expiry.IsZero() {
		return time.Time{}
	}
	life := expiry.Sub(issued)
	wait := min(renewAfter, life/5*4, max(life-renewMargin, life/2))
	hash := fnv.New32a()
	hash.Write([]byte(seed))
	jitter := renewJitter * float64(hash.Sum32()) / (1 << 32)
	return issued.Add(wait - time.Duration(jitter*float64(wait)))
}
