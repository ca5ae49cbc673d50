package election

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// Durations that can't work together are mistakes, each named once.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config // without names
		want   string // a part of each mistake, with | between them
	}{
		{name: "Kubernetes' own"},
		{name: "negative", config: Config{LeaseDuration: -1, RenewDeadline: -1, RetryPeriod: -1}, want: "LeaseDuration is -1ns|RenewDeadline is -1ns|RetryPeriod is -1ns"},
		{name: "the first is negative", config: Config{LeaseDuration: -1}, want: "LeaseDuration is -1ns"},
		{name: "one is negative", config: Config{RetryPeriod: -time.Second}, want: "RetryPeriod is -1s"},
		{name: "no whole seconds", config: Config{LeaseDuration: 15*time.Second + 1}, want: "LeaseDuration is 15.000000001s, want whole seconds"},
		{name: "almost as long as the lease", config: Config{LeaseDuration: 11 * time.Second, RenewDeadline: 11*time.Second - 1}},
		{name: "as long as the lease", config: Config{LeaseDuration: 10 * time.Second}, want: "RenewDeadline is 10s, want less than the LeaseDuration of 10s"},
		{name: "little more than 1.2 attempts", config: Config{RenewDeadline: 6*time.Second + 1, RetryPeriod: 5 * time.Second}},
		{name: "1.2 attempts", config: Config{RenewDeadline: 6 * time.Second, RetryPeriod: 5 * time.Second}, want: "RenewDeadline is 6s, want more than 1.2 times the RetryPeriod of 5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Namespace, tt.config.Name, tt.config.Identity = "kube-system", "l", "a"
			mistakes := configerror.List{Config: "manager.Config"}
			tt.config.WithDefaults().Check(&mistakes)
			var got []string
			if err := mistakes.Err(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			var want []string
			if tt.want != "" {
				want = strings.Split(tt.want, "|")
			}
			if !slices.EqualFunc(got, want, strings.Contains) {
				t.Errorf("Check() finds %q, want %q", got, want)
			}
		})
	}
	if got, want := (Config{}).WithDefaults(), (Config{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second}); got != want {
		t.Errorf("WithDefaults() = %v, want Kubernetes' %v", got, want)
	}
	mistakes := configerror.List{Config: "manager.Config"}
	Config{}.WithDefaults().Check(&mistakes)
	for _, field := range []string{"Namespace", "Name", "Identity"} {
		if err := mistakes.Err(); err == nil || !strings.Contains(err.Error(), "LeaderElection."+field+" is required") {
			t.Errorf("Check() = %v, want a mistake of %s", err, field)
		}
	}
}
