package election

import (
	"cmp"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"k8s.io/client-go/tools/leaderelection"
)

// Config is a manager.LeaderElection, which says what its fields mean.
type Config struct {
	Namespace, Name string
	Identity        string

	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration
}

// WithDefaults returns e with those of Kubernetes.
func (e Config) WithDefaults() Config {
	e.LeaseDuration = cmp.Or(e.LeaseDuration, defaultLeaseDuration)
	e.RenewDeadline = cmp.Or(e.RenewDeadline, defaultRenewDeadline)
	e.RetryPeriod = cmp.Or(e.RetryPeriod, defaultRetryPeriod)
	return e
}

// Check adds the mistakes of e, which has its defaults.
func (e Config) Check(mistakes *configerror.List) {
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
