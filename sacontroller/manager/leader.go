package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ErrLeadershipLost is what [Manager.Run] returns when it could not renew its
// lease in time. The controllers were stopped at once, requests included. End the
// process and start it again.
var ErrLeadershipLost = errors.New("manager: the lease was lost")

// LeaderElection says which Lease decides who runs the controllers. Clocks of the
// processes need not agree, only run at the same speed.
type LeaderElection struct {
	Namespace, Name string // of the Lease; required
	// Identity tells the processes apart; required.
	Identity string

	// LeaseDuration is how long the others wait after the last renewal that they
	// saw. RenewDeadline is how long the holder tries to renew before it gives
	// up; it must be shorter. RetryPeriod is the time between two attempts. Zero
	// means 15, 10 and 2 seconds.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Kubernetes' own defaults.
const (
	defaultLeaseDuration = 15 * time.Second
	defaultRenewDeadline = 10 * time.Second
	defaultRetryPeriod   = 2 * time.Second
)

// expiryTolerance is how long after its expiry a lease that isn't renewed may
// still be held before the process is unhealthy.
const expiryTolerance = 20 * time.Second

// leadership is the election of one Manager.
type leadership struct {
	elector *leaderelection.LeaderElector
	health  *leaderelection.HealthzAdaptor
	started chan struct{} // closed when the lease is held
	release context.CancelFunc
}

func newLeadership(cfg *LeaderElection, client kubernetes.Interface) (*leadership, error) {
	if cfg.Namespace == "" || cfg.Name == "" || cfg.Identity == "" {
		return nil, fmt.Errorf("manager: LeaderElection has namespace %q, name %q and identity %q, want none of them empty", cfg.Namespace, cfg.Name, cfg.Identity)
	}
	if client == nil {
		return nil, nil // reported by New
	}
	l := &leadership{health: leaderelection.NewLeaderHealthzAdaptor(expiryTolerance), started: make(chan struct{})}
	var err error
	l.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: cfg.Name,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: cfg.Namespace, Name: cfg.Name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: cfg.Identity},
		},
		LeaseDuration: cmp.Or(cfg.LeaseDuration, defaultLeaseDuration),
		RenewDeadline: cmp.Or(cfg.RenewDeadline, defaultRenewDeadline),
		RetryPeriod:   cmp.Or(cfg.RetryPeriod, defaultRetryPeriod),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(l.started) },
			OnStoppedLeading: func() {},
		},
		WatchDog:        l.health,
		ReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("manager: LeaderElection: %v", err)
	}
	l.health.SetLeaderElection(l.elector)
	return l, nil
}

// run waits for the lease and calls lead while it is held. The lease is given back
// only after lead has returned, unless a controller is stuck.
func (l *leadership) run(ctx context.Context, lead func(ctx, hard context.Context) error) error {
	electing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.release = cancel
	hard, lost := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer lost()
		l.elector.Run(electing)
	}()
	select {
	case <-ctx.Done():
		l.release()
		<-hard.Done()
		return nil
	case <-l.started:
	}
	err := lead(ctx, hard)
	if stuck, ok := errors.AsType[*stuckError](err); ok {
		return stuck // whoever is stuck may still write: the lease is kept
	}
	if hard.Err() != nil {
		err = errors.Join(ErrLeadershipLost, err)
	}
	l.release()
	<-hard.Done()
	return err
}
