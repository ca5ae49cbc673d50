package serviceaccount_test

import (
	"context"
	"crypto/ecdsa"
	"go/ast"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	serviceaccount "github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/internal/configerror/configtest"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/external"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/secretstore"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// constructors has that of every config struct of the module.
var constructors = []configtest.Constructor{
	configtest.Of(admission.New),
	configtest.Of(func(cfg webhook.Config) (*webhook.Handler, error) {
		plugin, err := admission.New(admission.Config{ServiceAccounts: &fake.Cluster{}})
		if err != nil {
			return nil, err
		}
		return webhook.New(plugin, cfg)
	}),
	configtest.Of(fake.NewAuthority),
	configtest.Of(func(cfg keys.FileSourceConfig) (*keys.FileSource, error) {
		return keys.OpenFileSource(context.Background(), cfg)
	}),
	configtest.Of(discovery.NewPublisher),
	configtest.Of(discovery.NewRemote),
	configtest.Of(external.NewSigner),
	configtest.Of(external.NewServer),
	configtest.Of(keyring.New),
	configtest.Of(secretstore.New),
	configtest.Of(sacontroller.NewServiceAccounts),
	configtest.Of(sacontroller.NewTokens),
	configtest.Of(rootca.NewConfigMaps),
	configtest.Of(rootca.NewTrustBundles),
	configtest.Of(legacytoken.NewCleaner),
	configtest.Of(legacytoken.NewTracker),
	configtest.Of(tokenissuer.New),
	configtest.Of(tokens.NewAuthenticator),
	configtest.Of(bearer.New),
	configtest.Of(cached.New),
	configtest.Of(keeper.NewSecrets),
	configtest.Of(keeper.NewFolder),
	configtest.Of(lastused.New),
	configtest.Of(func(cfg objectcache.Config) (objectcache.Getters, error) {
		return objectcache.New(objectcache.Getters{}, cfg)
	}),
	configtest.Of(tokenrequest.New),
	configtest.Of(tokenrequest.NewNodeRule),
	configtest.Of(tokenreview.NewClient),
	configtest.Of(tokenreview.NewHandler),
	configtest.Of(tokensource.New),
	configtest.Of(tokensource.NewFile),
}

// Every config struct is in the list above.
func TestConfigsAreListed(t *testing.T) {
	listed := map[string]bool{"keeper.PayloadConfig": true} // of a function, which says what a volume's source lacks
	for _, c := range constructors {
		listed[c.Config.String()] = true
	}
	for kind, folder := range exportedTypes(t, "Config") {
		if !listed[kind] && !strings.Contains(folder, "internal") {
			t.Errorf("%s: %s is not in the list of this test", folder, kind)
		}
	}
}

// exportedTypes returns the folders of the types of the module whose names end in suffix, by
// package and name.
func exportedTypes(t *testing.T, suffix string) map[string]string {
	types := map[string]string{}
	for name, file := range libraryFiles(t) {
		for _, declaration := range file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok && ast.IsExported(spec.Name.Name) && strings.HasSuffix(spec.Name.Name, suffix) {
					types[file.Name.Name+"."+spec.Name.Name] = filepath.Dir(name)
				}
			}
		}
	}
	return types
}

// Every constructor finds all mistakes, and panics at none.
func TestConfigsOfMistakes(t *testing.T) {
	for _, c := range constructors {
		c.Check(t, (*fake.Cluster)(nil), (*serviceaccount.CertificatesV1)(nil), (*keys.Set)(nil), (*keys.LocalSigner)(nil), (*ecdsa.PrivateKey)(nil),
			(*tokenissuer.Issuer)(nil), (*tokens.Authenticator)(nil), tokenreview.CreatorFunc(nil), (*external.Server)(nil), roundTripperFunc(nil), (*others)(nil))
	}
}

// others are what the fakes don't implement.
type others struct {
	tokens.WebhookGetter
	tokens.ObjectGetter
	tokenrequest.CSIDriverGetter
	tokenrequest.PersistentVolumeClaimGetter
	tokenrequest.PersistentVolumeGetter
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
