package sacontroller

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
)

// A search remembers so many names or Secrets. An attempt that could not be
// remembered itself is repeated after the pause.
const (
	maxRemembered = 512
	searchPause   = 10 * time.Second
)

// A search is how far the attempts at one account have come whose Secrets take more
// calls than one attempt makes. Nothing is wrong if it is lost.
type search struct {
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

// resume returns the search of that version of an account, a new one if there is
// none.
func (a *attempt) resume(account types.UID, version string) *search {
	s, ok := a.searches.Take(account)
	if !ok || s.version != version {
		return &search{version: version}
	}
	s.resumed = true
	return s
}

// keep remembers s and returns err, why its attempt ended. If there is no room, it
// returns a [*apicall.PauseError] instead.
func (a *attempt) keep(namespace string, account types.UID, s *search, err error) error {
	s.missing = slices.Clip(s.missing)
	if !a.searches.Put(account, namespace, s) {
		return &apicall.PauseError{Problem: "sacontroller: many accounts list many Secrets, this one waits for its turn", Wait: searchPause}
	}
	return err
}
