package replacing_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/examples/replacing"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

// Two logical clusters on this shard and one on another: the controllers serve all of
// them, and a token is accepted in its own cluster only, wherever that is.
func TestShard(t *testing.T) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keys.EncodePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sa.key")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var clients tenant.Set[*serviceaccount.CoreV1]
	all := serviceaccount.ByTenant(clients.Of)
	controllers, err := replacing.NewShardControllers(all, all, file, []byte("CA Data"))
	if err != nil {
		t.Fatal(err)
	}
	legacy := map[string]string{}
	clusters := []string{"root:red", "root:blue", "other:green"}
	for _, name := range clusters {
		cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
		clients.Join(name, serviceaccount.FromCoreV1(cluster.CoreV1()))
		ctx := tenant.NewContext(t.Context(), name)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "t", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}}, Type: corev1.SecretTypeServiceAccountToken}
		for _, step := range []func() error{
			func() error { return cluster.Settle(ctx, controllers...) },
			func() error { _, err := all.CreateSecret(ctx, secret); return err },
			func() error { return cluster.Settle(ctx, controllers...) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		filled, err := all.GetSecret(ctx, "ci", "t")
		if err != nil {
			t.Fatal(err)
		}
		legacy[name] = string(filled.Data[corev1.ServiceAccountTokenKey])
	}

	down, asked := errors.New("the other shard is down"), 0
	remote := serviceaccount.ByTenant(func(ctx context.Context) (*serviceaccount.CoreV1, error) {
		if asked++; asked == 1 {
			return nil, down
		}
		return clients.Of(ctx)
	})
	objects := func(c *serviceaccount.CoreV1) objectcache.Getters {
		return objectcache.Getters{ServiceAccounts: c, Secrets: c, Pods: c}
	}
	getters, err := replacing.NewShardGetters(func(cluster string) bool { return cluster != "other:green" }, objects(all), objects(remote))
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://kcp.default.svc"}, Keys: set, APIAudiences: []string{"kcp"}, Legacy: true,
		Cluster:         tokens.ClusterClaim{Name: "clusterName"},
		ServiceAccounts: getters.ServiceAccounts, Secrets: getters.Secrets, Pods: getters.Pods,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authenticator.Authenticate(tenant.NewContext(t.Context(), "other:green"), legacy["other:green"]); !errors.Is(err, down) {
		t.Errorf("while the other shard is down: %v", err)
	}
	for range 2 {
		for _, of := range clusters {
			for _, at := range clusters {
				id, err := authenticator.Authenticate(tenant.NewContext(t.Context(), at), legacy[of])
				if (err == nil) != (of == at) || err == nil && id.Cluster != of {
					t.Errorf("the token of %s at %s: %v", of, at, err)
				}
			}
		}
	}
	if got, want := fmt.Sprint(asked), "3"; got != want { // the failure, the account and the Secret
		t.Errorf("the other shard is asked %s times, want %s", got, want)
	}
}
