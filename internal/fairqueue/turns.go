package fairqueue

import (
	"slices"
	"time"
)

// A tenant whose calls take longer than the first of these is one whose API server hangs:
// from then on, and until there was no such call for the second one, it has workers of its
// own, and takes none from the others.
const (
	patienceWithTenants = time.Second
	suspicion           = time.Minute
	hungTenantWorkers   = 2
)

// tenantKeys is what the keys of one tenant share.
type tenantKeys struct {
	name       string
	running    int
	hung       int       // those that take too long
	hungAt     time.Time // when the last of them began to
	namespaces map[string]*namespace
	turns      [lanes][]*namespace // those with keys in that lane
}

// A namespace is what the keys of one namespace share.
type namespace struct {
	tenant  *tenantKeys
	name    string
	items   int
	running int
	queued  [lanes][]*item
	paced   time.Time // when the retries that were granted so far are used up
}

// hanging reports whether calls of t hang, or did a moment ago.
func (t *tenantKeys) hanging() bool {
	return t.hung > 0 || time.Since(t.hungAt) < suspicion
}

// push appends it to a lane, and reports whether it is the first of its tenant there.
func (n *namespace) push(it *item, l lane) (first bool) {
	n.queued[l] = append(n.queued[l], it)
	if len(n.queued[l]) > 1 {
		return false
	}
	n.tenant.turns[l] = append(n.tenant.turns[l], n)
	return len(n.tenant.turns[l]) == 1
}

// take takes the item whose turn it is out of a lane, of a namespace of which fewer than
// room keys are worked on, or returns nil.
func (t *tenantKeys) take(l lane, room int) *item {
	for at := 0; at < len(t.turns[l]); {
		n := t.turns[l][at]
		if n.running >= room {
			at++
			continue
		}
		n.skip(l)
		t.turns[l] = without(t.turns[l], at)
		if len(n.queued[l]) == 0 {
			continue
		}
		it := n.pop(l)
		if len(n.queued[l]) > 0 {
			t.turns[l] = append(t.turns[l], n)
		}
		return it
	}
	return nil
}

// skip drops the items in front of a lane that were taken out of another one.
func (n *namespace) skip(l lane) {
	for len(n.queued[l]) > 0 && !n.queued[l][0].queued {
		n.pop(l)
	}
}

func (n *namespace) pop(l lane) *item {
	it := n.queued[l][0]
	n.queued[l][0] = nil
	n.queued[l] = n.queued[l][1:]
	return it
}

// without removes the element at an index. To move the others for the first one would
// make long queues quadratic.
func without[T any](s []*T, at int) []*T {
	if at > 0 {
		return slices.Delete(s, at, at+1)
	}
	s[0] = nil
	return s[1:]
}

// pace returns how long the next retry must wait for those that were granted to the
// namespace before.
func (n *namespace) pace(now time.Time) time.Duration {
	if n.paced.Before(now) {
		n.paced = now
	}
	wait := n.paced.Sub(now) - (retriesAtOnce-1)*retryEvery
	n.paced = n.paced.Add(retryEvery)
	return wait
}
