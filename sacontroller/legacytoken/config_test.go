package legacytoken_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

// Constructors report all mistakes at once, typed nils among them (CLN-20).
func TestConfigErrors(t *testing.T) {
	var cluster *fake.Cluster // a typed nil
	satest.ConfigErrors(t, []satest.ConfigCase{
		{Config: "legacytoken.CleanerConfig", Err: satest.ErrorOf(legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: cluster, CleanupPeriod: -1, CleanupInterval: -2})),
			Want: `legacytoken: CleanerConfig.Reader is required, want a CleanerReader
legacytoken: CleanerConfig.Client is required, want a live CleanerClient
legacytoken: CleanerConfig.CleanupPeriod is -1ns, want 0 for the default or a positive value
legacytoken: CleanerConfig.CleanupInterval is -2ns, want 0 for the default or a positive value`},
		{Config: "legacytoken.TrackerConfig", Err: satest.ErrorOf(legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: cluster})),
			Want: `legacytoken: TrackerConfig.Reader is required, want a TrackerReader
legacytoken: TrackerConfig.Client is required, want a TrackerClient`},
	})
}
