package apiserver_test

import (
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

// New finds all mistakes, also those in the configs of the parts, and panics at none.
func TestConfigOfMistakes(t *testing.T) {
	configtest.Of(func(cfg apiserver.Config) (*apiserver.Parts, error) {
		cfg.Legacy = true                          // so LastUsed counts
		cfg.Discovery.JWKSURI = "http://a.example" // and Discovery
		return apiserver.New(cfg)
	}).Check(t, (*keys.LocalSigner)(nil), (*keys.Set)(nil), (*fake.Cluster)(nil), (*apiserver.TokenAuthenticator)(nil), (*others)(nil))
}

// others are what the fakes don't implement.
type others struct {
	tokens.WebhookGetter
	tokens.ObjectGetter
	authenticator.Request
}
