package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/kubesa/serviceaccount/tokens"
)

// Attest returns an Attest of
// [github.com/kubesa/serviceaccount/tokens/tokenrequest.Config] that asks a, the
// authorizer of the server: the account needs the verb attest on
// admissionReviewAPIGroups of authentication.k8s.io, with the API group as the name.
func Attest(a authorizer.UnconditionalAuthorizer) func(ctx context.Context, user authenticationv1.UserInfo, apiGroup string) (bool, string, error) {
	return func(ctx context.Context, info authenticationv1.UserInfo, apiGroup string) (bool, string, error) {
		u := &user.DefaultInfo{Name: info.Username, UID: info.UID, Groups: info.Groups}
		decision, reason, err := a.Authorize(ctx, authorizer.AttributesRecord{
			User: u, Verb: "attest", APIGroup: authenticationv1.GroupName, APIVersion: "*",
			Resource: tokens.AttestedAPIGroups, Name: apiGroup, ResourceRequest: true,
		})
		if decision == authorizer.DecisionAllow {
			return true, "", nil
		}
		switch { // a failure of the authorizer is a denial, as in Kubernetes
		case err != nil && reason != "":
			reason = fmt.Sprintf("%v: %s", err, reason)
		case err != nil:
			reason = err.Error()
		}
		return false, reason, nil
	}
}

// A laterAuthorizer is the authorizer of a server that isn't there yet.
type laterAuthorizer struct {
	mu sync.Mutex
	a  authorizer.UnconditionalAuthorizer
}

func (l *laterAuthorizer) set(a authorizer.UnconditionalAuthorizer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.a = a
}

func (l *laterAuthorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	l.mu.Lock()
	own := l.a
	l.mu.Unlock()
	if own == nil {
		return authorizer.DecisionDeny, "", errors.New("apiserver: there is no authorizer")
	}
	return own.Authorize(ctx, a)
}
