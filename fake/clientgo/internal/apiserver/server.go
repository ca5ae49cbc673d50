// Package apiserver answers requests as an API server in front of an Authority
// does, with objects of any type: what the fakes of client-go and of
// controller-runtime have in common.
package apiserver

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/review"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A Server serves the kinds of the Authority's Cluster, and the reviews of
// tokens. It is safe for concurrent use.
type Server struct {
	authority *fake.Authority
	token     string
	resources []*Resource
}

// New returns a Server whose every call comes with token, as one of an administrator
// if it is empty. It adds a mistake if the Authority is not complete.
func New(mistakes *configerror.List, authority *fake.Authority, token string) *Server {
	mistakes.Require("Authority", authority, "an Authority")
	if authority == nil {
		return nil
	}
	if authority.Cluster == nil || authority.Authenticator == nil {
		mistakes.Add("Authority", "is not complete, want one of fake.NewAuthority")
		return nil
	}
	s := &Server{authority: authority, token: token}
	for _, kind := range object.Kinds {
		s.resources = append(s.resources, &Resource{server: s, kind: kind, store: authority.Cluster.Resource(kind.Resource)})
	}
	return s
}

// Resources returns the resources that the Server has.
func (s *Server) Resources() []*Resource { return s.resources }

// Resource returns the resource with the plural name gvr, nil if another
// server has it.
func (s *Server) Resource(gvr schema.GroupVersionResource) *Resource {
	for _, r := range s.resources {
		if r.GVR() == gvr {
			return r
		}
	}
	return nil
}

// Kind returns the resource of the kind gvk, nil if another server has it.
func (s *Server) Kind(gvk schema.GroupVersionKind) *Resource {
	for _, r := range s.resources {
		if r.GVK() == gvk {
			return r
		}
	}
	return nil
}

// login returns the context of a call that comes with the Server's token, and whom it
// stands for. A token that is no longer valid gets 401.
func (s *Server) login(ctx context.Context) (context.Context, authenticationv1.UserInfo, error) {
	if s.token == "" {
		return ctx, review.Administrator, nil
	}
	identity, err := s.authority.Authenticator.Authenticate(ctx, s.token)
	switch {
	case ctx.Err() != nil:
		return nil, authenticationv1.UserInfo{}, ctx.Err()
	case err != nil:
		return nil, authenticationv1.UserInfo{}, apierrors.NewUnauthorized("Unauthorized")
	}
	user := review.User(identity)
	return fake.WithActor(ctx, user.Username), user, nil
}
