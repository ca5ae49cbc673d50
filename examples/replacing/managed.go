package replacing

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// managedLabel is that of the Secrets which the hub creates, empty, for its
// ManagedServiceAccounts.
const managedLabel = "authentication.open-cluster-management.io/is-managed-serviceaccount"

// NewManagedTokens keeps tokens of a managed cluster in Secrets of the hub:
// sync, createToken and isSoonExpiring of Open Cluster Management's managed-serviceaccount
// (pkg/addon/agent/controller/token.go). validity says how long a token lives.
func NewManagedTokens(hub interface {
	keeper.SecretGetter
	keeper.SecretUpdater
}, createToken CreateToken, spokeNamespace string, ca []byte, validity func(*corev1.Secret) time.Duration, now func() time.Time) (sacontroller.Controller, error) {
	return keeper.NewSecrets(keeper.SecretsConfig{
		Reader: hub, Client: hub, Now: now, Mint: createToken.mint,
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			if secret.Labels[managedLabel] != "true" {
				return nil, nil
			}
			return &keeper.Want{
				Namespace: spokeNamespace, Name: secret.Name, Lifetime: validity(secret),
				Data: map[string][]byte{corev1.ServiceAccountRootCAKey: ca},
			}, nil
		},
	})
}
