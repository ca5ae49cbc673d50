package apiserver

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/kubesa/serviceaccount/keys/discovery"
)

// The names of [ClusterRoles], which are those of Kubernetes.
const (
	RoleIssuerDiscovery = "system:service-account-issuer-discovery"
	RoleAuthDelegator   = "system:auth-delegator"
	RoleBasicUser       = "system:basic-user"
)

// ClusterRoles returns the roles of Kubernetes for what this package serves: to get the
// discovery documents, to have tokens reviewed and requests authorized, and to ask who
// one is.
func ClusterRoles() []rbacv1.ClusterRole {
	create := func(group string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{group}, Resources: resources}
	}
	return []rbacv1.ClusterRole{
		clusterRole(RoleAuthDelegator, create("authentication.k8s.io", "tokenreviews"), create("authorization.k8s.io", "subjectaccessreviews")),
		clusterRole(RoleBasicUser, create("authentication.k8s.io", "selfsubjectreviews"),
			create("authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews")),
		clusterRole(RoleIssuerDiscovery, rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{
			discovery.ConfigPath, discovery.ConfigPath + "/", discovery.JWKSPath, discovery.JWKSPath + "/",
		}}),
	}
}

// ClusterRoleBindings returns who has the roles of [ClusterRoles] from the beginning:
// every ServiceAccount may get the discovery documents, and everybody who is
// authenticated may ask who they are.
func ClusterRoleBindings() []rbacv1.ClusterRoleBinding {
	return []rbacv1.ClusterRoleBinding{
		clusterRoleBinding(RoleBasicUser, user.AllAuthenticated),
		clusterRoleBinding(RoleIssuerDiscovery, serviceaccount.AllServiceAccountsGroup),
	}
}

func bootstrapMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: bootstrapMeta(name), Rules: rules}
}

func clusterRoleBinding(role, group string) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: bootstrapMeta(role),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
	}
}
