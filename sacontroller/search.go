package sacontroller

import (
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What searches remembers: so many of them, and so many names or Secrets of each.
// An attempt that could not be remembered is repeated after the pause.
const (
	maxSearches   = 256
	maxRemembered = 512
	searchPause   = 10 * time.Second
	searchTimeout = time.Minute
)

// A search is how far the attempts at one account have come whose Secrets take more
// calls than one attempt makes. Nothing is wrong if it is lost.
type search struct {
	used time.Time

	// Of an account that exists:
	version   string   // that is searched
	started   bool     // what follows is set
	confirmed bool     // the API has this version, too
	resumed   bool     // from an earlier attempt
	next      int      // the index of the first reference that wasn't looked up
	listed    bool     // the account lists a token Secret
	missing   []string // generated names that no Secret has
	orphaned  string   // a listed Secret that will be deleted

	// Of an account that doesn't exist:
	orphans []orphan // that are left to be deleted
	after   string   // the name of the last Secret that was in orphans
	more    bool     // there may be more after it
	failed  error    // of the first Secret that could not be deleted
}

// An orphan is a Secret of an account that doesn't exist.
type orphan struct {
	name string
	uid  types.UID
}

// later returns an error if account lists an orphaned Secret: when that is deleted,
// its annotations won't lead to account.
func (s *search) later(account *corev1.ServiceAccount) error {
	if s.orphaned == "" {
		return nil
	}
	return listsOrphan(account, s.orphaned)
}

func listsOrphan(account *corev1.ServiceAccount, secret string) error {
	return fmt.Errorf("sacontroller: Secret %s/%s is orphaned, and listed in ServiceAccount %s until it is deleted", account.Namespace, secret, account.Name)
}

// searches remembers searches by the UID of the account. It is safe for concurrent
// use.
type searches struct {
	now func() time.Time

	mu  sync.Mutex
	all map[types.UID]*search
}

// resume returns the search of that version of the account, a new one if there is
// none, and forgets it until it is kept.
func (m *searches) resume(account types.UID, version string) *search {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.all[account]
	delete(m.all, account)
	if s == nil || s.version != version {
		return &search{version: version}
	}
	s.resumed = true
	return s
}

// keep remembers s and returns err, why its attempt ended. If there is no room, it
// returns a [*pauseError] instead: whoever is remembered gets ready first, so that
// many large accounts can't keep each other from it.
func (m *searches) keep(account types.UID, s *search, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.used = m.now()
	s.missing = slices.Clip(s.missing)
	if len(m.all) >= maxSearches {
		for uid, other := range m.all {
			if age := s.used.Sub(other.used); age < 0 || age > searchTimeout {
				delete(m.all, uid)
			}
		}
	}
	if len(m.all) >= maxSearches {
		return &pauseError{"many accounts list many Secrets; this one waits for its turn", searchPause}
	}
	if m.all == nil {
		m.all = map[types.UID]*search{}
	}
	m.all[account] = s
	return err
}
