// Package discovery publishes the keys of an issuer by OpenID Connect discovery, and
// fetches those that another issuer publishes.
//
// A [Publisher] serves the keys of a [keys.Source]:
//
//	publisher, err := discovery.NewPublisher(discovery.PublisherConfig{
//		Issuer: "https://issuer.example", ExternalAddress: "issuer.example", Keys: set,
//	})
//	…
//	mux.Handle(discovery.ConfigPath, publisher)
//	mux.Handle(discovery.JWKSPath, publisher)
//
// A [Remote] is a [keys.Source] of the keys that any issuer publishes:
//
//	remote, err := discovery.NewRemote(discovery.RemoteConfig{Issuer: "https://issuer.example"})
//
// # Failure
//
// Both keep the last good keys when new ones can't be had: the Publisher until there
// are others, the Remote until they are too old, when its errors wrap
// [keys.ErrUnavailable]. Their methods Err say why.
//
// # Security
//
// A Remote fetches over https, from the configured issuer and from where its discovery
// document says that the keys are. Nothing in a token or a request changes what is
// fetched or published.
//
// # Compatibility
//
// The documents are those of Kubernetes, byte for byte.
package discovery
