package sacontroller_test

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// Every method of every Reader and Client may return nothing and no error: that is
// an error, never a panic, and never taken for an object that doesn't exist.
func TestNothingIsAnError(t *testing.T) {
	satest.Nothing(t, []satest.NothingCase{
		{
			Name:   "ServiceAccounts",
			Reader: reflect.TypeFor[sacontroller.ServiceAccountsReader](), Client: reflect.TypeFor[sacontroller.ServiceAccountsClient](),
			Worlds: [][]runtime.Object{satest.Objects(satest.Active("ns"))},
			Keys:   []sacontroller.Key{{Kind: "Namespace", Name: "ns"}},
			Controller: func(reader, client satest.Silent, _ func(error)) sacontroller.Controller {
				return satest.Must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: client}))
			},
		},
		{
			Name:   "Tokens",
			Reader: reflect.TypeFor[sacontroller.TokensReader](), Client: reflect.TypeFor[sacontroller.TokensClient](),
			Worlds: [][]runtime.Object{
				satest.Objects(satest.Active("ns"), satest.Account()),                             // a Secret is generated
				satest.Objects(satest.Active("ns"), satest.Account(), satest.TokenWith(empty)),    // or filled
				satest.Objects(satest.Active("ns"), satest.AccountListing("default-token-x7k2q")), // a reference is removed
				satest.Objects(satest.Active("ns"), satest.TokenWith(empty)),                      // or a Secret deleted
			},
			Keys: []sacontroller.Key{accountKey, secretKey},
			Controller: func(reader, client satest.Silent, _ func(error)) sacontroller.Controller {
				return satest.Must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: client, Issuer: &stubIssuer{}, AutoGenerate: true}))
			},
		},
	})
	t.Run("InvalidTokens/Reader.ListSecrets", func(t *testing.T) {
		cluster := fake.New(satest.Account(), satest.Token())
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) {
			cfg.Reader, cfg.CheckToken = satest.Silent{Cluster: cluster, Method: "ListSecrets"}, stubCheck()
		})
		if _, err := c.InvalidTokens(t.Context()); err == nil || !strings.Contains(err.Error(), "neither an object nor an error") {
			t.Errorf("InvalidTokens() = %v, want an error that says that nothing was returned", err)
		}
	})
}

func empty(s *corev1.Secret) { s.Data = nil }
