package replacing

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// NewShardGetters returns the getters of an Authenticator of a kcp shard, for tokens of all
// logical clusters, each of which is a tenant of package tenant: objects of the clusters of
// this shard come from local, which are informers, others from remote, which asks their
// shards, and are cached. It replaces kcp's Cache (pkg/server/serviceaccount/cache.go) and
// Lookup and TTLCache (pkg/shardlookup).
func NewShardGetters(isLocal func(cluster string) bool, local, remote objectcache.Getters) (objectcache.Getters, error) {
	cached, err := objectcache.New(remote, objectcache.Config{TTL: time.Minute, NegativeTTL: 10 * time.Second})
	if err != nil {
		return objectcache.Getters{}, err
	}
	s := shards{isLocal, local, cached}
	return objectcache.Getters{ServiceAccounts: s, Secrets: s, Pods: s}, nil
}

type shards struct {
	isLocal       func(cluster string) bool
	local, remote objectcache.Getters
}

func (s shards) of(ctx context.Context) objectcache.Getters {
	if s.isLocal(tenant.Of(ctx)) {
		return s.local
	}
	return s.remote
}

func (s shards) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return s.of(ctx).ServiceAccounts.GetServiceAccount(ctx, namespace, name)
}

func (s shards) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return s.of(ctx).Secrets.GetSecret(ctx, namespace, name)
}

func (s shards) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return s.of(ctx).Pods.GetPod(ctx, namespace, name)
}

// Reader and Client are those of all logical clusters, by the context: the caches of
// sacontroller/manager, and serviceaccount.ByTenant.
type (
	Reader interface {
		sacontroller.ServiceAccountsReader
		sacontroller.TokensReader
		rootca.ConfigMapsReader
	}
	Client interface {
		sacontroller.ServiceAccountsClient
		sacontroller.TokensClient
		rootca.ConfigMapsClient
	}
)

// NewShardControllers returns the controllers of all logical clusters of a shard, for
// sacontroller/manager with Tenants to run. It replaces kcp's
// installKubeServiceAccountController, installKubeServiceAccountTokenController and
// installRootCAConfigMapController (pkg/server/controllers.go).
func NewShardControllers(reader Reader, client Client, keyFile string, rootCA []byte) ([]sacontroller.Controller, error) {
	key, err := keys.ReadPrivateKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		return nil, err
	}
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: "https://kcp.default.svc", Signer: signer, ClusterClaim: "clusterName"})
	if err != nil {
		return nil, err
	}
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: client})
	if err != nil {
		return nil, err
	}
	secrets, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: client, Issuer: issuer, RootCA: rootCA})
	if err != nil {
		return nil, err
	}
	publisher, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: reader, Client: client, RootCA: rootCA})
	return []sacontroller.Controller{accounts, secrets, publisher}, err
}
