package replacing

import (
	"context"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// NewReviewer asks the API server whose token it is: Vault's kubernetes auth method
// (token_review.go), Istio's CA (security/pkg/k8s/tokenreview/k8sauthn.go) and
// Teleport's in-cluster joining (lib/kube/token/validator.go). It also asks for an
// audience of its own, which two of them don't.
func NewReviewer(reviews tokenreview.Creator, audience string) (tokens.Verifier, error) {
	return tokenreview.NewClient(tokenreview.ClientConfig{Reviews: reviews, Audiences: []string{audience}})
}

// JoinWithJWKS authenticates a pod of a cluster that can't be reached, by the keys that
// its owner has sent: Teleport's static_jwks joining (ValidateTokenWithJWKS in
// lib/kube/token/validator.go). The token must be bound to a pod and live 30 minutes at
// most.
func JoinWithJWKS(ctx context.Context, jwks []byte, issuer, clusterName, token string, now func() time.Time) (*tokens.Identity, error) {
	set, err := keys.ParseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	authenticator, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{issuer}, Keys: set, APIAudiences: []string{clusterName},
		Lookups: tokens.LookupNothing, // the cluster can't be reached
		Policy:  tokens.Policy{RequirePodBound: true, MaxLifetime: 30 * time.Minute},
		Leeway:  10 * time.Second,
		Now:     now,
	})
	if err != nil {
		return nil, err
	}
	return authenticator.Authenticate(ctx, token)
}
