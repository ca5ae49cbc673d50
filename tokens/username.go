package tokens

import (
	"errors"
	"strings"
)

// What the users and groups of ServiceAccounts begin with (CST-16).
const (
	usernamePrefix       = "system:serviceaccount:"
	allAccountsGroup     = "system:serviceaccounts"
	namespaceGroupPrefix = "system:serviceaccounts:"
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
	if !validAccount(namespace, name) {
		return "", "", errUsername
	}
	return namespace, name, nil
}

// matchesUsername reports whether username is what [Username] returns, without
// allocating and without checking that namespace and name are valid.
func matchesUsername(namespace, name, username string) bool {
	n := len(usernamePrefix)
	return len(username) == n+len(namespace)+1+len(name) &&
		username[:n] == usernamePrefix &&
		username[n:n+len(namespace)] == namespace &&
		username[n+len(namespace)] == ':' &&
		username[n+len(namespace)+1:] == name
}

// Groups returns the groups that every ServiceAccount of a namespace is in, in
// the order of Kubernetes.
func Groups(namespace string) []string {
	return []string{allAccountsGroup, namespaceGroupPrefix + namespace}
}

// Lengths of names (RFC 1123).
const (
	maxLabelBytes     = 63
	maxSubdomainBytes = 253
)

// validAccount reports whether a ServiceAccount can have this namespace and
// name.
func validAccount(namespace, name string) bool {
	return isLabel(namespace) && len(namespace) <= maxLabelBytes && isSubdomain(name)
}

func isSubdomain(s string) bool {
	if len(s) > maxSubdomainBytes {
		return false
	}
	for {
		label, rest, more := strings.Cut(s, ".")
		if !isLabel(label) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// isLabel reports whether s consists of a-z, 0-9 and inner hyphens.
func isLabel(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}
