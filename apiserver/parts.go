package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/apiserver/openapi"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// Parts are the parts of a server that ServiceAccounts need. Use [Parts.ApplyTo] before
// the server is made and [Parts.Install] after that, or each part alone. Parts are safe
// for concurrent use, and are of one server.
type Parts struct {
	Issuer        *tokenissuer.Issuer   // for the controller of token Secrets
	Authenticator *tokens.Authenticator // of tokens
	Requests      authenticator.Request // of requests, all that the server accepts
	Publisher     *discovery.Publisher  // nil without discovery
	Tracker       *lastused.Tracker     // nil if the use of Secret-based tokens isn't recorded

	TokenREST             *TokenREST
	TokenReviewREST       *TokenReviewREST
	SelfSubjectReviewREST *SelfSubjectReviewREST

	scheme       *runtime.Scheme
	cached, live lookup.Getters
	audiences    []string
	authorizer   laterAuthorizer
	tracking     *legacytoken.Tracker
}

// New returns Parts, or an error naming every invalid field of cfg, each as a
// [*ConfigError]. It does no I/O.
func New(cfg Config) (*Parts, error) {
	errs := []error{cfg.check()}
	cfg.APIAudiences = cloneOr(cfg.APIAudiences, cfg.Issuer.Issuer)
	p := &Parts{scheme: cfg.Scheme, cached: cfg.Cached, live: cfg.Live, audiences: cfg.APIAudiences}
	var err error
	p.Issuer, err = tokenissuer.New(cfg.Issuer)
	errs = append(errs, err, p.addTracker(&cfg), p.addAuthenticators(&cfg))

	request := cfg.tokenRequest()
	request.Issuer = cmp.Or(p.Issuer, new(tokenissuer.Issuer)) // whose mistakes are known
	if request.Webhooks != nil && request.Attest == nil {
		request.Attest = Attest(&p.authorizer)
	}
	p.TokenREST, err = NewTokenREST(cfg.Scheme, request)
	errs = append(errs, err)
	if publisher, ok := cfg.publisher(); ok {
		p.Publisher, err = discovery.NewPublisher(publisher)
		errs = append(errs, err)
	}
	p.SelfSubjectReviewREST = NewSelfSubjectReviewREST(cfg.Scheme)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// addTracker adds what records the use of Secret-based tokens.
func (p *Parts) addTracker(cfg *Config) (err error) {
	last := cfg.LastUsed
	if patcher, ok := cfg.Live.Secrets.(lastused.SecretPatcher); ok {
		setDefault(&last.Secrets, patcher)
	}
	if !cfg.Legacy || last.Secrets == nil {
		return nil
	}
	setDefault(&last.Now, cfg.Issuer.Now)
	if p.Tracker, err = lastused.New(last); err != nil || cfg.Tracking == nil {
		return err
	}
	p.tracking, err = legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: cfg.Tracking, Client: cfg.Tracking, Now: cfg.Issuer.Now})
	return err
}

// addAuthenticators adds what authenticates tokens, requests and reviews.
func (p *Parts) addAuthenticators(cfg *Config) (err error) {
	a := cfg.authenticator()
	var track func(context.Context, tokens.Event)
	if p.Tracker != nil {
		track = p.Tracker.Observe
	}
	a.Observe = observers(ObserveAuthentication, track, a.Observe)
	if p.Authenticator, err = tokens.NewAuthenticator(a); err != nil {
		return err
	}
	own := &TokenAuthenticator{p.Authenticator}
	bearer := NewBearerAuthenticator(append([]authenticator.Token{own}, cfg.Further...)...)
	p.Requests = chain(bearer, cfg.Requests, cfg.Anonymous)
	p.TokenReviewREST, err = NewTokenReviewREST(cfg.Scheme, p.Requests, p.audiences)
	return err
}

// ApplyTo makes server authenticate with p.Requests. It returns an error if server has
// an authenticator already, which belongs into [Config.Requests], or other audiences.
// A server without OpenAPI definitions, which it can't do without, gets those that
// package openapi finds in the scheme.
func (p *Parts) ApplyTo(server *genericapiserver.Config) error {
	info := &server.Authentication
	if info.Authenticator != nil {
		return errors.New("apiserver: the server has an authenticator already, want it in Config.Requests")
	}
	if len(info.APIAudiences) > 0 && !slices.Equal(info.APIAudiences, p.audiences) {
		return fmt.Errorf("apiserver: the server has the API audiences %.256q, want %.256q", info.APIAudiences, p.audiences)
	}
	info.APIAudiences = slices.Clone(p.audiences)
	info.Authenticator = p.Requests
	if server.OpenAPIV3Config == nil {
		definitions, namer := openapi.Definitions(p.scheme), genericopenapi.NewDefinitionNamer(p.scheme)
		server.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
		server.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	}
	return nil
}

// Storage returns the storage of resource of the group "" and version v1 that the server
// adds to its own, keyed as in an APIGroupInfo.
func (p *Parts) Storage() map[string]rest.Storage {
	return map[string]rest.Storage{TokenResource: p.TokenREST}
}

// Initializer gives admission plugins that are [WantsGetters] the Getters of the config.
func (p *Parts) Initializer() genericadmission.PluginInitializer {
	return initializerFunc(func(plugin genericadmission.Interface) {
		if wants, ok := plugin.(WantsGetters); ok {
			wants.SetGetters(p.cached, p.live)
		}
	})
}

type initializerFunc func(genericadmission.Interface)

func (f initializerFunc) Initialize(plugin genericadmission.Interface) { f(plugin) }

// Install adds to server the group authentication.k8s.io and the routes of discovery,
// and, when it has started, records the use of Secret-based tokens. Its core group needs
// [Parts.Storage].
func (p *Parts) Install(server *genericapiserver.GenericAPIServer) error {
	p.authorizer.set(server.Authorizer)
	group := genericapiserver.NewDefaultAPIGroupInfo(authenticationv1.GroupName, p.scheme, runtime.NewParameterCodec(p.scheme), serializer.NewCodecFactory(p.scheme))
	group.VersionedResourcesStorageMap[authenticationv1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"tokenreviews":       p.TokenReviewREST,
		"selfsubjectreviews": p.SelfSubjectReviewREST,
	}
	if err := server.InstallAPIGroup(&group); err != nil {
		return err
	}
	if p.Publisher != nil {
		InstallDiscovery(server.Handler.GoRestfulContainer, p.Publisher)
	}
	return server.AddPostStartHook("serviceaccount-legacy-tokens", func(hook genericapiserver.PostStartHookContext) error {
		if p.Tracker != nil {
			go p.Tracker.Run(hook)
		}
		if p.tracking != nil {
			go keepTracking(hook, p.tracking)
		}
		return nil
	})
}
