package sacontroller_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// silent is a Reader and Client of which one method returns nothing and no error,
// or a list with nothing in it.
type silent struct {
	*fake.Cluster
	method string
}

func (s silent) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	if s.method == "GetNamespace" {
		return nil, nil
	}
	return s.Cluster.GetNamespace(ctx, name)
}

func (s silent) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if s.method == "GetServiceAccount" {
		return nil, nil
	}
	return s.Cluster.GetServiceAccount(ctx, namespace, name)
}

func (s silent) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	if s.method == "GetSecret" {
		return nil, nil
	}
	return s.Cluster.GetSecret(ctx, namespace, name)
}

func (s silent) GetConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if s.method == "GetConfigMap" {
		return nil, nil
	}
	return s.Cluster.GetConfigMap(ctx, namespace, name)
}

func (s silent) TokenSecrets(ctx context.Context, namespace, account string) ([]*corev1.Secret, error) {
	if s.method == "TokenSecrets" {
		return []*corev1.Secret{nil}, nil
	}
	return s.Cluster.TokenSecrets(ctx, namespace, account)
}

func (s silent) ListSecrets(ctx context.Context, namespace string) ([]*corev1.Secret, error) {
	if s.method == "ListSecrets" {
		return []*corev1.Secret{nil}, nil
	}
	return s.Cluster.ListSecrets(ctx, namespace)
}

func (s silent) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	if s.method == "ListPods" {
		return []*corev1.Pod{nil}, nil
	}
	return s.Cluster.ListPods(ctx, namespace)
}

func (s silent) CreateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	created, err := s.Cluster.CreateServiceAccount(ctx, account)
	if s.method == "CreateServiceAccount" {
		return nil, err
	}
	return created, err
}

func (s silent) UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error) {
	updated, err := s.Cluster.UpdateServiceAccount(ctx, account)
	if s.method == "UpdateServiceAccount" {
		return nil, err
	}
	return updated, err
}

func (s silent) CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	created, err := s.Cluster.CreateSecret(ctx, secret)
	if s.method == "CreateSecret" {
		return nil, err
	}
	return created, err
}

func (s silent) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	updated, err := s.Cluster.UpdateSecret(ctx, secret)
	if s.method == "UpdateSecret" {
		return nil, err
	}
	return updated, err
}

func (s silent) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	patched, err := s.Cluster.PatchSecret(ctx, namespace, name, pt, data)
	if s.method == "PatchSecret" {
		return nil, err
	}
	return patched, err
}

func (s silent) CreateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	created, err := s.Cluster.CreateConfigMap(ctx, m)
	if s.method == "CreateConfigMap" {
		return nil, err
	}
	return created, err
}

func (s silent) UpdateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	updated, err := s.Cluster.UpdateConfigMap(ctx, m)
	if s.method == "UpdateConfigMap" {
		return nil, err
	}
	return updated, err
}

// Every method of every Reader and Client may return nothing and no error: that is
// an error, never a panic, and never taken for an object that doesn't exist.
func TestNothingIsAnError(t *testing.T) {
	const published = "kube-root-ca.crt"
	mangled := tracking(map[string]string{published: "x"})
	mangled.Namespace, mangled.Name = "ns", published
	since := tracking(map[string]string{"since": "2020-01-01"})
	tests := []struct {
		name           string
		reader, client reflect.Type
		worlds         [][]runtime.Object
		keys           []sacontroller.Key
		controller     func(reader, client silent, observe func(context.Context, sacontroller.Event)) sacontroller.Controller
	}{
		{
			name:   "ServiceAccounts",
			reader: reflect.TypeFor[sacontroller.ServiceAccountsReader](), client: reflect.TypeFor[sacontroller.ServiceAccountsClient](),
			worlds: [][]runtime.Object{objects(active("ns"))},
			keys:   []sacontroller.Key{{Kind: "Namespace", Name: "ns"}},
			controller: func(reader, client silent, _ func(context.Context, sacontroller.Event)) sacontroller.Controller {
				return orPanic(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: reader, Client: client}))
			},
		},
		{
			name:   "Tokens",
			reader: reflect.TypeFor[sacontroller.TokensReader](), client: reflect.TypeFor[sacontroller.TokensClient](),
			worlds: [][]runtime.Object{
				objects(active("ns"), account()),                             // a Secret is generated
				objects(active("ns"), account(), tokenWith(empty)),           // or filled
				objects(active("ns"), accountListing("default-token-x7k2q")), // a reference is removed
				objects(active("ns"), tokenWith(empty)),                      // or a Secret deleted
			},
			keys: []sacontroller.Key{accountKey, secretKey},
			controller: func(reader, client silent, _ func(context.Context, sacontroller.Event)) sacontroller.Controller {
				return orPanic(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: reader, Client: client, Issuer: &stubIssuer{}, AutoGenerate: true}))
			},
		},
		{
			name:   "LegacyTokenCleaner",
			reader: reflect.TypeFor[sacontroller.LegacyTokenCleanerReader](), client: reflect.TypeFor[sacontroller.LegacyTokenCleanerClient](),
			worlds: [][]runtime.Object{objects(active("ns"), since, accountListing("token-secret-1"), unused(nil))},
			keys:   []sacontroller.Key{trackingKey},
			controller: func(reader, client silent, observe func(context.Context, sacontroller.Event)) sacontroller.Controller {
				return newCleaner(t, client.Cluster, func(cfg *sacontroller.LegacyTokenCleanerConfig) {
					cfg.Reader, cfg.Client, cfg.Observe = reader, client, observe
				})
			},
		},
		{
			name:   "LegacyTokenTracker",
			reader: reflect.TypeFor[sacontroller.LegacyTokenTrackerReader](), client: reflect.TypeFor[sacontroller.LegacyTokenTrackerClient](),
			worlds: [][]runtime.Object{objects(active("kube-system")), objects(tracking(nil))},
			keys:   []sacontroller.Key{trackingKey},
			controller: func(reader, client silent, _ func(context.Context, sacontroller.Event)) sacontroller.Controller {
				return orPanic(sacontroller.NewLegacyTokenTracker(sacontroller.LegacyTokenTrackerConfig{Reader: reader, Client: client}))
			},
		},
		{
			name:   "RootCAPublisher",
			reader: reflect.TypeFor[sacontroller.RootCAPublisherReader](), client: reflect.TypeFor[sacontroller.RootCAPublisherClient](),
			worlds: [][]runtime.Object{objects(active("ns")), objects(active("ns"), mangled)},
			keys:   []sacontroller.Key{{Kind: "Namespace", Name: "ns"}},
			controller: func(reader, client silent, _ func(context.Context, sacontroller.Event)) sacontroller.Controller {
				return orPanic(sacontroller.NewRootCAPublisher(sacontroller.RootCAPublisherConfig{Reader: reader, Client: client, RootCA: []byte("CA")}))
			},
		},
	}
	for _, tt := range tests {
		run := func(t *testing.T, readerSilent, clientSilent string) {
			var errs []error
			for _, world := range tt.worlds {
				for _, key := range tt.keys {
					cluster := fake.New(world...)
					c := tt.controller(silent{cluster, readerSilent}, silent{cluster, clientSilent}, func(_ context.Context, e sacontroller.Event) {
						for _, d := range e.Cleanup.Decisions {
							errs = append(errs, d.Err)
						}
					})
					_, err := c.Reconcile(t.Context(), key)
					errs = append(errs, err)
				}
			}
			if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), "neither an object nor an error") {
				t.Errorf("the errors are %v, want one that says that nothing was returned", err)
			}
		}
		for method := range tt.reader.Methods() {
			t.Run(tt.name+"/Reader."+method.Name, func(t *testing.T) { run(t, method.Name, "") })
		}
		for method := range tt.client.Methods() {
			if method.Type.NumOut() == 2 {
				t.Run(tt.name+"/Client."+method.Name, func(t *testing.T) { run(t, "", method.Name) })
			}
		}
	}
	t.Run("InvalidTokens/Reader.ListSecrets", func(t *testing.T) {
		cluster := fake.New(account(), token())
		c := newTokens(t, cluster, func(cfg *sacontroller.TokensConfig) {
			cfg.Reader, cfg.CheckToken = silent{cluster, "ListSecrets"}, stubCheck()
		})
		if _, err := c.InvalidTokens(t.Context()); err == nil || !strings.Contains(err.Error(), "neither an object nor an error") {
			t.Errorf("InvalidTokens() = %v, want an error that says that nothing was returned", err)
		}
	})
}

func empty(s *corev1.Secret) { s.Data = nil }
