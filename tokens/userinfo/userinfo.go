package userinfo

import (
	"errors"
	"strings"

	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// What the users and groups of ServiceAccounts begin with (CST-16).
const (
	usernamePrefix       = "system:serviceaccount:"
	allAccountsGroup     = "system:serviceaccounts"
	namespaceGroupPrefix = "system:serviceaccounts:"
)

// The keys of the extra of user infos.
const (
	ExtraCredentialID          = "authentication.kubernetes.io/credential-id"
	ExtraPodName               = "authentication.kubernetes.io/pod-name"
	ExtraPodUID                = "authentication.kubernetes.io/pod-uid"
	ExtraNodeName              = "authentication.kubernetes.io/node-name"
	ExtraNodeUID               = "authentication.kubernetes.io/node-uid"
	ExtraValidatingWebhookName = "authentication.kubernetes.io/validatingwebhookconfiguration-name"
	ExtraValidatingWebhookUID  = "authentication.kubernetes.io/validatingwebhookconfiguration-uid"
	ExtraMutatingWebhookName   = "authentication.kubernetes.io/mutatingwebhookconfiguration-name"
	ExtraMutatingWebhookUID    = "authentication.kubernetes.io/mutatingwebhookconfiguration-uid"
	ExtraClusterName           = "authentication.kubernetes.io/cluster-name" // of kcp
	ExtraAdmissionReviewGroups = "attestation.authentication.kubernetes.io/admissionReviewAPIGroups"
)

// errUsername has the text of Kubernetes (TOK-83).
var errUsername = errors.New("Username must be in the form system:serviceaccount:namespace:name")

// Username returns the username of a ServiceAccount,
// system:serviceaccount:<namespace>:<name>. It checks nothing.
func Username(namespace, name string) string {
	return usernamePrefix + namespace + ":" + name
}

// SplitUsername returns the namespace and the name of the ServiceAccount that
// username stands for. It fails for every other user: unless the namespace is
// a DNS label and the name is a DNS subdomain.
func SplitUsername(username string) (namespace, name string, err error) {
	rest, ok := strings.CutPrefix(username, usernamePrefix)
	if !ok {
		return "", "", errUsername
	}
	namespace, name, _ = strings.Cut(rest, ":")
	if !objects.ValidAccount(namespace, name) {
		return "", "", errUsername
	}
	return namespace, name, nil
}

// Groups returns the groups that every ServiceAccount of a namespace is in, in
// the order of Kubernetes.
func Groups(namespace string) []string {
	return []string{allAccountsGroup, namespaceGroupPrefix + namespace}
}
