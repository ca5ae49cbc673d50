package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

const issuerURL = "https://kubernetes.default.svc"

// A serverConfig is what the replicas share.
type serverConfig struct {
	etcd       string
	ring       *keyring.Ring
	adminToken string
	cert, key  []byte
	address    string // of all replicas
	tenants    func() []string
}

// newServer returns a replica that listens on listener.
func newServer(cfg serverConfig, listener net.Listener) (*genericapiserver.GenericAPIServer, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	all, err := newStores(scheme, cfg.etcd)
	if err != nil {
		return nil, err
	}
	parts, err := newParts(cfg, scheme, all)
	if err != nil {
		return nil, err
	}
	config, err := genericConfig(cfg, scheme, all, listener)
	if err != nil {
		return nil, err
	}
	plugins := genericadmission.NewPlugins()
	apiserver.RegisterAdmission(plugins)
	noFile, err := genericadmission.ReadAdmissionConfiguration(nil, "", nil)
	if err != nil {
		return nil, err
	}
	if config.AdmissionControl, err = plugins.NewFromPlugins([]string{apiserver.AdmissionPluginName}, noFile, parts.Initializer(), nil); err != nil {
		return nil, err
	}
	if err := parts.ApplyTo(config); err != nil {
		return nil, err
	}
	server, err := config.Complete(nil).New("example", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	return server, errors.Join(install(server, scheme, all, parts), parts.Install(server))
}

// newParts returns what this library adds to the server.
func newParts(cfg serverConfig, scheme *runtime.Scheme, all stores) (*apiserver.Parts, error) {
	admin := tokenfile.New(map[string]*user.DefaultInfo{cfg.adminToken: {Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}})
	cluster := tokens.ClusterClaim{Name: "clusterName"} // as kcp has it
	c := apiserver.Config{
		Scheme: scheme,
		Issuer: tokenissuer.Config{Issuer: issuerURL, Signer: cfg.ring, ClusterClaim: cluster.Name},
		Keys:   cfg.ring,
		Live: lookup.FromStorage(scheme, lookup.Storage{
			ServiceAccounts: all["serviceaccounts"], Secrets: all["secrets"], Pods: all["pods"],
		}),
		Legacy:        true,
		Requests:      []authenticator.Request{administrators{bearertoken.New(admin)}},
		Authenticator: tokens.AuthenticatorConfig{Cluster: cluster},
	}
	c.Discovery.ExternalAddress = cfg.address
	return apiserver.New(c)
}

// administrators authenticates those who have the token of the admin, and has no opinion
// on other tokens.
type administrators struct{ authenticator.Request }

func (a administrators) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := a.Request.AuthenticateRequest(r)
	if !ok || err != nil {
		return nil, false, nil
	}
	response.Audiences, _ = authenticator.AudiencesFrom(r.Context())
	return response, true, nil
}

// genericConfig returns what every server needs.
func genericConfig(cfg serverConfig, scheme *runtime.Scheme, all stores, listener net.Listener) (*genericapiserver.Config, error) {
	certificate, err := dynamiccertificates.NewStaticCertKeyContent("serving", cfg.cert, cfg.key)
	if err != nil {
		return nil, err
	}
	config := genericapiserver.NewConfig(serializer.NewCodecFactory(scheme))
	config.ExternalAddress = cfg.address
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.LegacyAPIGroupPrefixes.Insert("/api")
	config.Authorization.Authorizer = authorizer.AuthorizerFunc(all.authorize)
	config.SecureServing = &genericapiserver.SecureServingInfo{Listener: listener, Cert: certificate, MinTLSVersion: tls.VersionTLS12}
	config.LoopbackClientConfig = &rest.Config{Host: "https://" + listener.Addr().String(), BearerToken: cfg.adminToken, TLSClientConfig: rest.TLSClientConfig{CAData: cfg.cert}}
	config.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return withTenants(func(name string) bool { return slices.Contains(cfg.tenants(), name) }, genericapiserver.DefaultBuildHandlerChain(api, c))
	}
	return config, nil
}

// install adds the API of all stores to server.
func install(server *genericapiserver.GenericAPIServer, scheme *runtime.Scheme, all stores, parts *apiserver.Parts) error {
	groups := map[schema.GroupVersion]*genericapiserver.APIGroupInfo{}
	for _, r := range resources {
		info := groups[r.version]
		if info == nil {
			info = new(genericapiserver.NewDefaultAPIGroupInfo(r.version.Group, scheme, runtime.NewParameterCodec(scheme), serializer.NewCodecFactory(scheme)))
			info.VersionedResourcesStorageMap[r.version.Version] = parts.Storage()
			if r.version != corev1.SchemeGroupVersion {
				clear(info.VersionedResourcesStorageMap[r.version.Version])
			}
			groups[r.version] = info
		}
		info.VersionedResourcesStorageMap[r.version.Version][r.name] = all[r.name]
		if r.name == "namespaces" {
			info.VersionedResourcesStorageMap[r.version.Version][r.name] = namespaceStore{all[r.name], all}
		}
	}
	for version, info := range groups {
		var err error
		if version.Group == "" {
			err = server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info)
		} else {
			err = server.InstallAPIGroup(info)
		}
		if err != nil {
			return fmt.Errorf("installing %s: %w", version, err)
		}
	}
	return nil
}

// serve runs server until ctx is done.
func serve(ctx context.Context, server *genericapiserver.GenericAPIServer) error {
	return server.PrepareRun().RunWithContext(ctx)
}
