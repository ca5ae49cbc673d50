package sacontroller_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// Constructors report all mistakes at once, typed nils among them (CTL-1..3, CLN-20).
func TestConfigErrors(t *testing.T) {
	var cluster *fake.Cluster // a typed nil
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"ServiceAccounts", errorOf(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
			Reader: cluster, Accounts: []corev1.ServiceAccount{named("a"), named(""), named("A"), named("a")},
		})), `sacontroller: ServiceAccountsConfig.Reader is required, want a ServiceAccountsReader
sacontroller: ServiceAccountsConfig.Client is required, want a ServiceAccountsClient
sacontroller: ServiceAccountsConfig.Accounts[1].Name is "", want a lower case DNS subdomain
sacontroller: ServiceAccountsConfig.Accounts[2].Name is "A", want a lower case DNS subdomain
sacontroller: ServiceAccountsConfig.Accounts[3].Name is "a" again, want each name once`},
		{"Tokens", errorOf(sacontroller.NewTokens(sacontroller.TokensConfig{Client: cluster, Issuer: (*stubIssuer)(nil), ReplaceInvalid: true})),
			`sacontroller: TokensConfig.Reader is required, want a TokensReader
sacontroller: TokensConfig.Client is required, want a live TokensClient
sacontroller: TokensConfig.Issuer is required, want a LegacyIssuer
sacontroller: TokensConfig.CheckToken is required, want a TokenCheck to find the tokens that ReplaceInvalid replaces`},
		{"LegacyTokenCleaner", errorOf(sacontroller.NewLegacyTokenCleaner(sacontroller.LegacyTokenCleanerConfig{Reader: cluster, CleanupPeriod: -1, CleanupInterval: -2})),
			`sacontroller: LegacyTokenCleanerConfig.Reader is required, want a LegacyTokenCleanerReader
sacontroller: LegacyTokenCleanerConfig.Client is required, want a live LegacyTokenCleanerClient
sacontroller: LegacyTokenCleanerConfig.CleanupPeriod is -1ns, want 0 for the default or a positive value
sacontroller: LegacyTokenCleanerConfig.CleanupInterval is -2ns, want 0 for the default or a positive value`},
		{"LegacyTokenTracker", errorOf(sacontroller.NewLegacyTokenTracker(sacontroller.LegacyTokenTrackerConfig{Reader: cluster})),
			`sacontroller: LegacyTokenTrackerConfig.Reader is required, want a LegacyTokenTrackerReader
sacontroller: LegacyTokenTrackerConfig.Client is required, want a LegacyTokenTrackerClient`},
		{"RootCAPublisher", errorOf(sacontroller.NewRootCAPublisher(sacontroller.RootCAPublisherConfig{Client: cluster})),
			`sacontroller: RootCAPublisherConfig.Reader is required, want a RootCAPublisherReader
sacontroller: RootCAPublisherConfig.Client is required, want a RootCAPublisherClient
sacontroller: RootCAPublisherConfig.RootCA is empty, want a CA bundle`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == nil || tt.err.Error() != tt.want {
				t.Errorf("the error is\n%v\nwant\n%s", tt.err, tt.want)
			}
			if e, ok := errors.AsType[*sacontroller.ConfigError](tt.err); !ok || e.Config != "sacontroller."+tt.name+"Config" {
				t.Errorf("the error is %#v, want a ConfigError of %sConfig", e, tt.name)
			}
		})
	}
}

func errorOf[T any](_ T, err error) error { return err }
