package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
)

// ErrLeadershipLost is the error of [Manager.Run] when the lease could not be
// renewed in time, or is another process's. Reconcile calls were cancelled before
// that. End the process and start it again.
var ErrLeadershipLost = errors.New("manager: the lease was lost")

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

func (e LeaderElection) withDefaults() LeaderElection {
	e.LeaseDuration = cmp.Or(e.LeaseDuration, defaultLeaseDuration)
	e.RenewDeadline = cmp.Or(e.RenewDeadline, defaultRenewDeadline)
	e.RetryPeriod = cmp.Or(e.RetryPeriod, defaultRetryPeriod)
	return e
}

// check adds the mistakes of e, which has its defaults.
func (e LeaderElection) check(mistakes *configerror.List) {
	for _, name := range [...]struct{ field, value string }{{"Namespace", e.Namespace}, {"Name", e.Name}, {"Identity", e.Identity}} {
		if name.value == "" {
			mistakes.Add("LeaderElection."+name.field, "is required, want a name")
		}
	}
	durations := []struct {
		field string
		value time.Duration
	}{{"LeaseDuration", e.LeaseDuration}, {"RenewDeadline", e.RenewDeadline}, {"RetryPeriod", e.RetryPeriod}}
	negative := false
	for _, d := range durations {
		negative = negative || d.value < 0
		configerror.NotNegative(mistakes, "LeaderElection."+d.field, d.value)
	}
	if negative {
		return
	}
	if e.LeaseDuration%time.Second != 0 {
		mistakes.Add("LeaderElection.LeaseDuration", "is %v, want whole seconds", e.LeaseDuration)
	}
	if e.RenewDeadline >= e.LeaseDuration {
		mistakes.Add("LeaderElection.RenewDeadline", "is %v, want less than the LeaseDuration of %v", e.RenewDeadline, e.LeaseDuration)
	}
	if least := time.Duration(leaderelection.JitterFactor * float64(e.RetryPeriod)); e.RenewDeadline <= least {
		mistakes.Add("LeaderElection.RenewDeadline", "is %v, want more than %v times the RetryPeriod of %v", e.RenewDeadline, leaderelection.JitterFactor, e.RetryPeriod)
	}
}

// Kubernetes' own defaults.
const (
	defaultLeaseDuration = 15 * time.Second
	defaultRenewDeadline = 10 * time.Second
	defaultRetryPeriod   = 2 * time.Second
)

// leadership is the election of one Manager.
type leadership struct {
	lease   *lease
	elector *leaderelection.LeaderElector
	started chan struct{}      // closed when the lease is held
	stop    context.CancelFunc // ends the elector
	log     *slog.Logger
}

func newLeadership(cfg *LeaderElection, client kubernetes.Interface, log *slog.Logger) (*leadership, error) {
	l := &leadership{
		lease:   newLease(cfg, client.CoordinationV1().Leases(cfg.Namespace)),
		started: make(chan struct{}),
		log:     log,
	}
	var err error
	l.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:          cfg.Name,
		Lock:          l.lease,
		LeaseDuration: cfg.LeaseDuration,
		RenewDeadline: cfg.RenewDeadline,
		RetryPeriod:   cfg.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(l.started) },
			OnStoppedLeading: func() {},
		},
		// The elector would release the lease before the work has ended.
		ReleaseOnCancel: false,
	})
	if err != nil {
		return nil, fmt.Errorf("manager: LeaderElection: %v", err)
	}
	return l, nil
}

// run waits for the lease and calls lead with the context of the work, which is
// done before the lease can be another process's. The lease is released only after
// lead has returned, and renewed for as long as the process lives if a controller
// is stuck.
func (l *leadership) run(ctx context.Context, lead func(ctx, work context.Context) error) error {
	work := l.lease.hold(context.WithoutCancel(ctx))
	electing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.elector.Run(electing)
	}()
	var err error
	select {
	case <-ctx.Done():
	case <-l.started:
		err = lead(ctx, work)
	}
	lost := work.Err() != nil
	if lost {
		err = errors.Join(ErrLeadershipLost, err)
	}
	if _, stuck := errors.AsType[*stuckError](err); stuck && !lost {
		return err // it may still write: the lease is kept
	}
	l.stop()
	select {
	case <-ended:
	case <-time.After(abandonAfter):
		return errors.Join(err, &stuckError{names: []string{"leader election"}})
	}
	if releaseErr := l.lease.release(context.WithoutCancel(ctx)); releaseErr != nil {
		l.log.Warn("The lease was not released: the next process waits until it expires", "error", releaseErr)
	}
	return err
}
