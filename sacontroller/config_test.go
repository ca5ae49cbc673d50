package sacontroller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// Constructors report all mistakes at once, typed nils among them (CTL-1..3).
func TestConfigErrors(t *testing.T) {
	var cluster *fake.Cluster // a typed nil
	satest.ConfigErrors(t, []satest.ConfigCase{
		{Config: "sacontroller.ServiceAccountsConfig", Err: satest.ErrorOf(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{
			Reader: cluster, Accounts: []corev1.ServiceAccount{named("a"), named(""), named("A"), named("a")},
		})), Want: `sacontroller: ServiceAccountsConfig.Reader is required, want a ServiceAccountsReader
sacontroller: ServiceAccountsConfig.Client is required, want a ServiceAccountsClient
sacontroller: ServiceAccountsConfig.Accounts[1].Name is "", want a lower case DNS subdomain
sacontroller: ServiceAccountsConfig.Accounts[2].Name is "A", want a lower case DNS subdomain
sacontroller: ServiceAccountsConfig.Accounts[3].Name is "a" again, want each name once`},
		{Config: "sacontroller.TokensConfig", Err: satest.ErrorOf(sacontroller.NewTokens(sacontroller.TokensConfig{Client: cluster, Issuer: (*stubIssuer)(nil), ReplaceInvalid: true})),
			Want: `sacontroller: TokensConfig.Reader is required, want a TokensReader
sacontroller: TokensConfig.Client is required, want a live TokensClient
sacontroller: TokensConfig.Issuer is required, want a LegacyIssuer
sacontroller: TokensConfig.CheckToken is required, want a TokenCheck to find the tokens that ReplaceInvalid replaces`},
	})
}
