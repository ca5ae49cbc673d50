package replacing

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// MayUse says whether a user may use the RPCs of a Workspace, for example by a
// SubjectAccessReview.
type MayUse func(ctx context.Context, username string, groups []string, workspace types.NamespacedName) (bool, error)

// NewWorkspaceAuth authenticates and authorizes the gRPC calls of a Workspace by the values
// of their metadata "authorization": the Pulumi operator's agent
// (agent/pkg/server/auth.go), for ServiceAccounts. The module tokens/bearer/grpc has
// interceptors that do the same, with the status codes.
func NewWorkspaceAuth(verifier tokens.Verifier, may MayUse, workspace types.NamespacedName) (func(ctx context.Context, authorization []string) (context.Context, error), error) {
	remembered, err := cached.New(cached.Config{Verifier: verifier, TTL: time.Minute, NegativeTTL: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	gate, err := bearer.NewGate(remembered, nil, tokens.Policy{})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, authorization []string) (context.Context, error) {
		id, err := gate.Authenticate(ctx, authorization, func(id *tokens.Identity) error {
			allowed, err := may(ctx, id.Username(), append(userinfo.Groups(id.Namespace), "system:authenticated"), workspace)
			switch {
			case err != nil:
				return &tokens.UnavailableError{Subject: "SubjectAccessReview", Err: err}
			case !allowed:
				return errors.New("RBAC doesn't allow it")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return bearer.WithIdentity(ctx, id), nil
	}, nil
}
