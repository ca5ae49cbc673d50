package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ErrLeadershipLost is the error of [Manager.Run] when the lease could not be
// renewed in time. The controllers and their requests were cancelled at once. End
// the process and start it again.
var ErrLeadershipLost = errors.New("manager: the lease was lost")

// LeaderElection names the Lease whose holder runs the controllers. The clocks of
// the processes need not agree, only run at the same speed.
type LeaderElection struct {
	Namespace, Name string // of the Lease; required
	Identity        string // required; another one for each process

	// LeaseDuration is how long the other processes wait after the last renewal
	// that they saw. Zero means 15 seconds.
	LeaseDuration time.Duration
	// RenewDeadline is how long the holder tries to renew before it gives up. It
	// must be shorter than LeaseDuration. Zero means 10 seconds.
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
	l := &leadership{health: leaderelection.NewLeaderHealthzAdaptor(expiryTolerance), started: make(chan struct{})}
	var err error
	l.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: cfg.Name,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: cfg.Namespace, Name: cfg.Name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: cfg.Identity},
		},
		LeaseDuration: cfg.LeaseDuration,
		RenewDeadline: cfg.RenewDeadline,
		RetryPeriod:   cfg.RetryPeriod,
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

// run waits for the lease and calls lead while it is held. The lease is released
// only after lead has returned, and kept if a controller is stuck.
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
		return stuck // it may still write: the lease is kept
	}
	if hard.Err() != nil {
		err = errors.Join(ErrLeadershipLost, err)
	}
	l.release()
	<-hard.Done()
	return err
}
