package manager

import (
	"time"

	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
)

// ErrLeadershipLost is the error of [Manager.Run] when the lease could not be
// renewed in time, or is another process's. Reconcile calls were cancelled before
// that. End the process and start it again.
var ErrLeadershipLost = election.ErrLost

// LeaderElection names the Lease whose holder runs the controllers. The clocks of
// the processes need not agree, only run at the same speed.
//
// Two processes never work at once: a renewal counts from when it was sent, the work
// is cancelled RenewDeadline after the last one that was stored, and has
// LeaseDuration less RenewDeadline to end before the lease can be another process's. The
// lease is released only after the work has ended. A Lease that doesn't exist, or that
// somebody has edited, may have a holder that doesn't know: the next one waits its own
// LeaseDuration all the same, also when it is the first one ever. Wrap the clients of
// the controllers with [Guard], which says what can't be excluded.
type LeaderElection struct {
	Namespace, Name string // of the Lease; required
	Identity        string // required; another one for each process, also after a restart

	// LeaseDuration is how long the other processes wait after the last renewal
	// that they saw. It must be in whole seconds, as in a Lease. Zero means 15 seconds.
	LeaseDuration time.Duration
	// RenewDeadline is how long after the last renewal the holder goes on working
	// and trying to renew. It must be shorter than LeaseDuration. Zero means 10
	// seconds.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two attempts. RenewDeadline must be longer
	// than 1.2 of them. Zero means 2 seconds.
	RetryPeriod time.Duration
}
