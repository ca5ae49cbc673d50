package keys_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/kubesa/serviceaccount/keys"
)

// The keys of a cluster elsewhere, from the JWK Set that it publishes. Its
// certificate is checked against RootCAs, and BearerToken authenticates the
// request if the documents aren't public.
func ExampleRemote() {
	key := must(keys.Generate(keys.ES256))
	published := must(keys.NewDiscovery(context.Background(), keys.DiscoveryConfig{
		Issuer: "https://cluster.example", ExternalAddress: "cluster.example", Keys: must(keys.NewSet(key.Public())),
	}))
	server := httptest.NewTLSServer(published)
	defer server.Close()

	remote := must(keys.NewRemote(keys.RemoteConfig{
		JWKSURL: server.URL + keys.JWKSPath,
		RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	}))
	signer := must(keys.NewSigner(key))
	fmt.Println(keys.SelfTest(context.Background(), signer, remote))
	// Output: <nil>
}
