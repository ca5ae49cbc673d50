// Package apiserver answers requests as an API server in front of an Authority
// does, with objects of any type: what the fakes of client-go and of
// controller-runtime have in common.
package apiserver

import (
	"context"
	"errors"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
)

// Config configures [New].
type Config struct {
	Authority *fake.Authority // required
	Token     string          // whose every call is; empty for an administrator
}

// A Server serves the kinds of the Authority's Cluster, and the reviews of
// tokens. It is safe for concurrent use.
type Server struct {
	authority *fake.Authority
	token     string
	resources []Resource
}

// New returns a Server, or an error if cfg has no complete Authority.
func New(cfg Config) (*Server, error) {
	a := cfg.Authority
	if a == nil {
		return nil, errors.New("Config.Authority is nil, want an Authority")
	}
	if a.Cluster == nil || a.Authenticator == nil || a.Requester == nil {
		return nil, errors.New("Config.Authority is not complete, want one of NewAuthority")
	}
	c := a.Cluster.CoreV1()
	s := &Server{authority: a, token: cfg.Token}
	s.resources = []Resource{
		&typed[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace]{
			server: s, kind: "Namespace", resource: "namespaces", status: true,
			in:  func(string) *client[corev1.Namespace, corev1.NamespaceList, *corev1.Namespace] { return c.Namespaces() },
			sub: map[string]update[*corev1.Namespace]{"finalize": s.finalize},
		},
		&typed[corev1.Node, corev1.NodeList, *corev1.Node]{
			server: s, kind: "Node", resource: "nodes", status: true,
			in: func(string) *client[corev1.Node, corev1.NodeList, *corev1.Node] { return c.Nodes() },
		},
		&typed[corev1.ServiceAccount, corev1.ServiceAccountList, *corev1.ServiceAccount]{
			server: s, kind: "ServiceAccount", resource: "serviceaccounts", namespaced: true, in: c.ServiceAccounts,
		},
		&typed[corev1.Secret, corev1.SecretList, *corev1.Secret]{
			server: s, kind: "Secret", resource: "secrets", namespaced: true, in: c.Secrets,
		},
		&typed[corev1.Pod, corev1.PodList, *corev1.Pod]{
			server: s, kind: "Pod", resource: "pods", namespaced: true, status: true, in: c.Pods,
			sub: map[string]update[*corev1.Pod]{"ephemeralcontainers": s.ephemeralContainers},
		},
		&typed[corev1.ConfigMap, corev1.ConfigMapList, *corev1.ConfigMap]{
			server: s, kind: "ConfigMap", resource: "configmaps", namespaced: true, in: c.ConfigMaps,
		},
	}
	return s, nil
}

// Resources returns the resources of the core group that the Server has.
func (s *Server) Resources() []Resource { return slices.Clone(s.resources) }

// Resource returns the resource with the plural name gvr, nil if another
// server has it.
func (s *Server) Resource(gvr schema.GroupVersionResource) Resource {
	return s.find(func(r Resource) bool { return r.GVR() == gvr })
}

// Kind returns the resource of the kind gvk, nil if another server has it.
func (s *Server) Kind(gvk schema.GroupVersionKind) Resource {
	return s.find(func(r Resource) bool { return r.GVK() == gvk })
}

func (s *Server) find(is func(Resource) bool) Resource {
	if i := slices.IndexFunc(s.resources, is); i >= 0 {
		return s.resources[i]
	}
	return nil
}

// login returns the context of a call that comes with the Server's token, and
// whom it stands for. A token that doesn't hold any more gets 401.
func (s *Server) login(ctx context.Context) (context.Context, authenticationv1.UserInfo, error) {
	if s.token == "" {
		return ctx, authenticationv1.UserInfo{Username: "system:admin", Groups: []string{"system:masters", authenticated}}, nil
	}
	identity, err := s.authority.Authenticator.Authenticate(ctx, s.token)
	switch {
	case ctx.Err() != nil:
		return nil, authenticationv1.UserInfo{}, ctx.Err()
	case err != nil:
		return nil, authenticationv1.UserInfo{}, apierrors.NewUnauthorized("Unauthorized")
	}
	user := identity.UserInfo()
	user.Groups = append(user.Groups, authenticated)
	return fake.WithActor(ctx, user.Username), user, nil
}

// authenticated is the group of everybody who is not anonymous (REV-15).
const authenticated = "system:authenticated"
