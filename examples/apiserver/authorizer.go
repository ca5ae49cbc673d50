package main

import (
	"context"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// authorize decides by the roles and bindings of the request's tenant. The evaluator of
// Kubernetes is part of k8s.io/kubernetes; this one compares rules with
// k8s.io/component-helpers. It reads the store for every request, and as nobody checks
// for escalation here, only administrators may write roles and bindings.
func (s stores) authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	u := a.GetUser()
	switch {
	case u == nil:
		return authorizer.DecisionNoOpinion, "", nil
	case slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup):
		return authorizer.DecisionAllow, "", nil
	case a.GetAPIGroup() == rbacv1.GroupName && !a.IsReadOnly():
		return authorizer.DecisionNoOpinion, "only administrators may write RBAC", nil
	case !a.IsResourceRequest() && tenantless(a.GetPath()):
		return authorizer.DecisionAllow, "", nil
	}
	rules, err := s.rulesOf(ctx, u, a.GetNamespace())
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	if ok, _ := validation.Covers(rules, []rbacv1.PolicyRule{ruleOf(a)}); ok {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "no role allows it", nil
}

// tenantless reports whether path is of the server itself, which tells everybody that it
// is well.
func tenantless(path string) bool {
	return slices.Contains([]string{"/healthz", "/livez", "/readyz", "/version"}, path)
}

// ruleOf returns the rule that allows just the request.
func ruleOf(a authorizer.Attributes) rbacv1.PolicyRule {
	if !a.IsResourceRequest() {
		return rbacv1.PolicyRule{Verbs: []string{a.GetVerb()}, NonResourceURLs: []string{a.GetPath()}}
	}
	name := a.GetResource()
	if a.GetSubresource() != "" {
		name += "/" + a.GetSubresource()
	}
	rule := rbacv1.PolicyRule{Verbs: []string{a.GetVerb()}, APIGroups: []string{a.GetAPIGroup()}, Resources: []string{name}}
	if a.GetName() != "" {
		rule.ResourceNames = []string{a.GetName()}
	}
	return rule
}

// rulesOf returns the rules of u, for the whole tenant and for namespace.
func (s stores) rulesOf(ctx context.Context, u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	all := request.WithNamespace(ctx, "")
	bindings, err := listOf[*rbacv1.ClusterRoleBindingList](all, s, "clusterrolebindings")
	if err != nil {
		return nil, err
	}
	var rules []rbacv1.PolicyRule
	for _, b := range bindings.Items {
		if applies(b.Subjects, u, "") {
			rules = append(rules, s.rules(ctx, b.RoleRef, "")...)
		}
	}
	if namespace == "" {
		return rules, nil
	}
	local, err := listOf[*rbacv1.RoleBindingList](request.WithNamespace(ctx, namespace), s, "rolebindings")
	if err != nil {
		return nil, err
	}
	for _, b := range local.Items {
		if applies(b.Subjects, u, namespace) {
			rules = append(rules, s.rules(ctx, b.RoleRef, namespace)...)
		}
	}
	return rules, nil
}

func listOf[L runtime.Object](ctx context.Context, s stores, resource string) (list L, err error) {
	object, err := s[resource].List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return list, err
	}
	return object.(L), nil
}

// rules returns the rules of a role, none if it doesn't exist.
func (s stores) rules(ctx context.Context, ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	if ref.Kind == "Role" {
		object, err := s["roles"].Get(request.WithNamespace(ctx, namespace), ref.Name, &metav1.GetOptions{})
		if role, ok := object.(*rbacv1.Role); ok && err == nil {
			return role.Rules
		}
		return nil
	}
	object, err := s["clusterroles"].Get(request.WithNamespace(ctx, ""), ref.Name, &metav1.GetOptions{})
	if role, ok := object.(*rbacv1.ClusterRole); ok && err == nil {
		return role.Rules
	}
	return nil
}

// applies reports whether u is one of subjects.
func applies(subjects []rbacv1.Subject, u user.Info, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == u.GetName()
		case rbacv1.GroupKind:
			return slices.Contains(u.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			if s.Namespace != "" {
				namespace = s.Namespace
			}
			return namespace != "" && serviceaccount.MatchesUsername(namespace, s.Name, u.GetName())
		}
		return false
	})
}
