package election

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
)

// ErrLost is manager.ErrLeadershipLost.
var ErrLost = errors.New("manager: the lease was lost")

// An Election is that of one Manager.
type Election struct {
	lease   *lease
	elector *leaderelection.LeaderElector
	started chan struct{}      // closed when the lease is held
	stop    context.CancelFunc // ends the elector
	log     *slog.Logger
}

// New returns an Election that starts nothing yet. cfg has its defaults, and no mistakes.
func New(cfg *Config, client kubernetes.Interface, log *slog.Logger) (*Election, error) {
	l := &Election{
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

// Run waits for the lease and calls lead with the context of the work, which is
// done before the lease can be another process's. The lease is released only after
// lead has returned, and renewed for as long as the process lives if a controller
// is stuck.
func (l *Election) Run(ctx context.Context, lead func(ctx, work context.Context) error) error {
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
	if work.Err() != nil {
		err = errors.Join(ErrLost, err)
	}
	if _, stuck := errors.AsType[*StuckError](err); stuck {
		return err // it may still write: a lease is kept, and without one the process must end now
	}
	l.stop()
	select {
	case <-ended:
	case <-time.After(AbandonAfter):
		return errors.Join(err, &StuckError{Names: []string{"leader election"}})
	}
	if releaseErr := l.lease.release(context.WithoutCancel(ctx)); releaseErr != nil {
		l.log.Warn("The lease was not released: the next process waits until it expires", "error", releaseErr)
	}
	return err
}

// Remaining returns how long the work may go on as things are; 0 or less means that
// it must not.
func (l *Election) Remaining() time.Duration { return l.lease.remaining() }

// Grace is how long work may take to end after the lease was lost.
func (l *Election) Grace() time.Duration { return l.lease.grace() }

// Healthy returns an error if the work should have ended long ago.
func (l *Election) Healthy() error { return l.lease.healthy() }

// AbandonAfter is how long a controller may take to notice that its context is
// done.
const AbandonAfter = 5 * time.Second

// A StuckError names the controllers that didn't finish. They may still write.
type StuckError struct{ Names []string }

func (e *StuckError) Error() string {
	return fmt.Sprintf("manager: %q did not finish in time", e.Names)
}
