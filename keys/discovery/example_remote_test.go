package discovery_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
)

// The keys of a cluster elsewhere, from the JWK Set that it publishes. Its
// certificate is checked against RootCAs, and BearerToken authenticates the
// request if the documents aren't public.
func ExampleNewRemote() {
	key := keystest.Must(keys.Generate(keys.ES256))
	published := keystest.Must(discovery.NewPublisher(discovery.PublisherConfig{
		Issuer: "https://cluster.example", ExternalAddress: "cluster.example", Keys: keystest.Must(keys.NewSet(key.Public())),
	}))
	server := httptest.NewTLSServer(published)
	defer server.Close()

	remote := keystest.Must(discovery.NewRemote(discovery.RemoteConfig{
		JWKSURL: server.URL + discovery.JWKSPath,
		RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
	}))
	signer := keystest.Must(keys.NewSigner(key))
	fmt.Println(keys.SelfTest(context.Background(), signer, remote))
	// Output: <nil>
}
