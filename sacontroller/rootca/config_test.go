package rootca_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Constructors report all mistakes at once, typed nils among them.
func TestConfigErrors(t *testing.T) {
	var cluster *fake.Cluster // a typed nil
	satest.ConfigErrors(t, []satest.ConfigCase{
		{Config: "rootca.ConfigMapsConfig", Err: satest.ErrorOf(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Client: cluster})),
			Want: `rootca: ConfigMapsConfig.Reader is required, want a ConfigMapsReader
rootca: ConfigMapsConfig.Client is required, want a ConfigMapsClient
rootca: ConfigMapsConfig.RootCA is empty, want a CA bundle`},
	})
}
