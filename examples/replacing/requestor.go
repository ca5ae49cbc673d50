package replacing

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// The annotations of the Secrets.
const (
	accountName      = "serviceaccount.resources.gardener.cloud/name"
	accountNamespace = "serviceaccount.resources.gardener.cloud/namespace"
	expiration       = "serviceaccount.resources.gardener.cloud/token-expiration-duration"
)

// CreateToken requests a token in the target cluster, as client-go's CreateToken does.
type CreateToken func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)

// NewTokenRequestor keeps tokens of a target cluster in Secrets of a source cluster:
// Gardener's token requestor (pkg/controller/tokenrequestor/reconciler.go).
func NewTokenRequestor(secrets interface {
	keeper.SecretGetter
	keeper.SecretUpdater
}, createToken CreateToken, audience string, now func() time.Time) (sacontroller.Controller, error) {
	return keeper.NewSecrets(keeper.SecretsConfig{
		Reader: secrets, Client: secrets, Now: now,
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			want := &keeper.Want{
				Namespace: secret.Annotations[accountNamespace], Name: secret.Annotations[accountName],
				Audiences: []string{audience}, Lifetime: 12 * time.Hour,
			}
			if want.Name == "" {
				return nil, nil
			}
			if text, ok := secret.Annotations[expiration]; ok {
				var err error
				if want.Lifetime, err = time.ParseDuration(text); err != nil {
					return nil, fmt.Errorf("annotation %s: %w", expiration, err)
				}
			}
			return want, nil
		},
		Mint: createToken.mint,
	})
}

// mint requests the token that a Secret shall hold.
func (c CreateToken) mint(ctx context.Context, want keeper.Want) (*tokens.Token, error) {
	seconds := int64(want.Lifetime / time.Second)
	answer, err := c(ctx, want.Namespace, want.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: want.Audiences, ExpirationSeconds: &seconds},
	})
	if err != nil {
		return nil, err
	}
	return tokensource.TokenOf(answer)
}
