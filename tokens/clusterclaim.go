package tokens

import (
	"context"
	"errors"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A ClusterClaim is a member of the claim "kubernetes.io" that names the cluster that a
// token is of. Control planes that serve several clusters with one issuer have it: that of
// kcp is "clusterName". A Secret-based token has it as the claim
// "kubernetes.io/serviceaccount/" and the name.
//
// The cluster is the tenant of the context: see package tenant. Tokens are issued for
// it, and those of another one are rejected with [ReasonOtherCluster]. For a context that
// names no tenant no token is issued or accepted.
//
// One value configures both an [Issuer] and an [Authenticator]. The zero value means
// tokens that name no cluster. Enter must be safe for concurrent use.
type ClusterClaim struct {
	// Name is that of the member, such as "clusterName".
	Name string

	// Enter, if set, makes an Authenticator accept tokens of any cluster that Enter
	// accepts. It returns a context derived from ctx, which is made one of the cluster
	// for the lookups of the token's objects, or an error: an
	// [*InvalidError] or one that wraps [ErrNotRecognized] is that of Authenticate, any
	// other means that it can't be told now.
	Enter func(ctx context.Context, cluster string) (context.Context, error)

	// Extra, if set, is the key of the extra of user infos that has the cluster: of a
	// domain of one's own, such as "example.org/cluster", or [userinfo.ExtraClusterName].
	Extra string
}

// check adds the mistakes of c, the field called field.
func (c *ClusterClaim) check(mistakes *configerror.List, field string) {
	if c.Name == "" {
		if c.Enter != nil || c.Extra != "" {
			mistakes.Add(field+".Name", "is empty, want the name of a claim, such as clusterName")
		}
		return
	}
	if !payload.IsCluster(c.Name) {
		mistakes.Add(field+".Name", "is %q, which has a meaning of its own, want another one", c.Name)
	}
	if c.Extra != "" && c.Extra != userinfo.ExtraClusterName {
		mistakes.Within(field+".Extra", payload.CheckExtraKey(c.Extra))
	}
}

// enter returns the context with which the objects of a token of cluster are looked up,
// or why the token is rejected.
func (c *ClusterClaim) enter(ctx context.Context, cluster string) (context.Context, error) {
	if c.Name == "" {
		return ctx, nil
	}
	if c.Enter == nil {
		switch tenant.Of(ctx) {
		case "":
			return ctx, &UnavailableError{subjectCluster, errors.New("the context names none")}
		case cluster:
			return ctx, nil
		default:
			return ctx, &InvalidError{Reason: ReasonOtherCluster}
		}
	}
	entered, err := c.Enter(ctx, cluster)
	_, invalid := errors.AsType[*InvalidError](err)
	switch {
	case err == nil && entered == nil:
		return ctx, &UnavailableError{subjectCluster, errors.New("ClusterClaim.Enter returned neither a context nor an error")}
	case err == nil:
		return tenant.NewContext(entered, cluster), nil
	case invalid || errors.Is(err, ErrNotRecognized):
		return ctx, err
	}
	return ctx, &UnavailableError{subjectCluster, err}
}
