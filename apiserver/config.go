package apiserver

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// A ConfigError is one mistake in a config of this package. It has the fields Config,
// Field and Problem. Only another config helps.
type ConfigError = configerror.Error

// Config configures [New].
type Config struct {
	// Scheme is that of the server. Required. It must have the types of
	// authentication.k8s.io/v1: see [AddToScheme].
	Scheme *runtime.Scheme

	// Issuer issues the tokens. Its fields Issuer and Signer are required.
	Issuer tokenissuer.Config
	// Keys verify them. Required.
	Keys keys.Source
	// APIAudiences are the audiences of the server. Empty means the issuer.
	APIAudiences []string

	// Live looks up objects: [lookup.FromStorage] reads those of the server itself.
	// ServiceAccounts are required; tokens can be bound to the other kinds that it has.
	Live lookup.Getters
	// Cached is asked first when tokens are authenticated and pods are admitted, and
	// Live when it has no object: a token may outlive a deletion as long as the cache
	// is stale. If it has none, every authentication reads live.
	Cached lookup.Getters

	// Legacy also accepts Secret-based tokens, and records their use if Live.Secrets
	// can be patched, as those of FromStorage can.
	Legacy bool
	// Tracking, if set, keeps the ConfigMap that says since when their use is recorded:
	// [lookup.TrackingStorage] is the storage of the server itself.
	Tracking lookup.Tracking

	// Further authenticate other tokens, such as those of OpenID Connect; Requests
	// authenticate requests in other ways, such as by client certificates, and before
	// tokens. None may accept a request that has no credentials: Anonymous, if set, is
	// asked about those.
	Further   []authenticator.Token
	Requests  []authenticator.Request
	Anonymous authenticator.Request

	// What is rarely changed. Fields that are zero get what is said above.
	Authenticator tokens.AuthenticatorConfig
	TokenRequest  tokenrequest.Config
	LastUsed      lastused.Config

	// Discovery publishes the keys if its ExternalAddress or its JWKSURI is set.
	Discovery discovery.PublisherConfig
}

func (cfg *Config) check() error {
	mistakes := configerror.List{Config: "apiserver.Config"}
	mistakes.Require("Scheme", cfg.Scheme, "the scheme of the server")
	if cfg.Scheme != nil {
		for _, kind := range []string{"TokenRequest", "TokenReview", "SelfSubjectReview"} {
			gvk := tokenRequestKind.GroupVersion().WithKind(kind)
			internal := gvk
			internal.Version = runtime.APIVersionInternal
			if !cfg.Scheme.Recognizes(gvk) || !cfg.Scheme.Recognizes(internal) {
				mistakes.Add("Scheme", "has no type for %s of %s, or none to work with, want those of AddToScheme", kind, gvk.GroupVersion())
			}
		}
	}
	for i, a := range cfg.Further {
		mistakes.Require(fmt.Sprintf("Further[%d]", i), a, "an authenticator")
	}
	for i, a := range cfg.Requests {
		mistakes.Require(fmt.Sprintf("Requests[%d]", i), a, "an authenticator")
	}
	mistakes.Optional("Keys", cfg.Keys)
	mistakes.Optional("Anonymous", cfg.Anonymous)
	mistakes.Optional("Tracking", cfg.Tracking)
	checkGetters(&mistakes, "Live", cfg.Live)
	checkGetters(&mistakes, "Cached", cfg.Cached)
	return mistakes.Err()
}

// checkGetters adds a mistake for each of g that is a typed nil, of the field called field.
func checkGetters(mistakes *configerror.List, field string, g lookup.Getters) {
	mistakes.Optional(field+".ServiceAccounts", g.ServiceAccounts)
	mistakes.Optional(field+".Secrets", g.Secrets)
	mistakes.Optional(field+".Pods", g.Pods)
	mistakes.Optional(field+".Nodes", g.Nodes)
	mistakes.Optional(field+".Webhooks", g.Webhooks)
	mistakes.Optional(field+".Objects", g.Objects)
}

// authenticator returns the config of the Authenticator.
func (cfg *Config) authenticator() tokens.AuthenticatorConfig {
	a := cfg.Authenticator
	if len(a.Issuers) == 0 && cfg.Issuer.Issuer != "" {
		a.Issuers = []string{cfg.Issuer.Issuer}
	}
	setDefault(&a.Keys, cfg.Keys)
	if len(a.APIAudiences) == 0 {
		a.APIAudiences = cfg.APIAudiences
	}
	a.Legacy = a.Legacy || cfg.Legacy
	getters := cfg.Cached.Or(cfg.Live)
	setDefault(&a.ServiceAccounts, getters.ServiceAccounts)
	setDefault(&a.Secrets, getters.Secrets)
	setDefault(&a.Pods, getters.Pods)
	setDefault(&a.Nodes, getters.Nodes)
	setDefault(&a.Webhooks, getters.Webhooks)
	setDefault(&a.Objects, getters.Objects)
	setDefault(&a.Now, cfg.Issuer.Now)
	return a
}

// tokenRequest returns the config of TokenRequests, without the Issuer.
func (cfg *Config) tokenRequest() tokenrequest.Config {
	r := cfg.TokenRequest
	if len(r.APIAudiences) == 0 {
		r.APIAudiences = cfg.APIAudiences
	}
	setDefault(&r.ServiceAccounts, cfg.Live.ServiceAccounts)
	setDefault(&r.Secrets, cfg.Live.Secrets)
	setDefault(&r.Pods, cfg.Live.Pods)
	setDefault(&r.Nodes, cfg.Live.Nodes)
	if cfg.Live.Nodes != nil {
		setDefault(&r.PodNodes, cachedNodes(cfg.Cached.Nodes, cfg.Live.Nodes))
	}
	setDefault(&r.Webhooks, cfg.Live.Webhooks)
	setDefault(&r.Objects, cfg.Live.Objects)
	return r
}

// cachedNodes returns nodes as they are good enough to tell where a pod runs: from the
// watch cache of a store, and live after any error (SRV-25).
func cachedNodes(cached, live tokens.NodeGetter) tokens.NodeGetter {
	if stored, ok := live.(interface{ Cached() tokens.NodeGetter }); ok && cached == nil {
		cached = stored.Cached()
	}
	return lookup.Getters{Nodes: cached}.Or(lookup.Getters{Nodes: live}).Nodes
}

// publisher returns the config of discovery, and whether there is any.
func (cfg *Config) publisher() (discovery.PublisherConfig, bool) {
	p := cfg.Discovery
	if p.ExternalAddress == "" && p.JWKSURI == "" {
		return p, false
	}
	if p.Issuer == "" {
		p.Issuer = cfg.Issuer.Issuer
	}
	setDefault(&p.Keys, cfg.Keys)
	setDefault(&p.Now, cfg.Issuer.Now)
	return p, true
}

// setDefault sets field to value, unless it is set already. Both are interfaces or funcs.
func setDefault[T any](field *T, value T) {
	if v := reflect.ValueOf(field).Elem(); v.IsNil() {
		*field = value
	}
}

func cloneOr(values []string, other string) []string {
	if len(values) == 0 {
		return []string{other}
	}
	return slices.Clone(values)
}
