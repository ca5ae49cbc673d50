package tokensource

import (
	"encoding/json"
	"net/url"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
)

// KubeconfigOptions are what a [Kubeconfig] says beside the token.
type KubeconfigOptions struct {
	Server string // required; the https URL of the API server
	CA     []byte // PEM; if empty, that of the Secret, then the system's

	Cluster   string // the name of the cluster; if empty, "default"
	Namespace string // if empty, that of the Secret
	User      string // if empty, the name of the account

	// TokenFile, if set, is where the client finds the token, which the kubeconfig
	// then leaves out: use it for a token that somebody keeps fresh.
	TokenFile string
}

// Kubeconfig returns a kubeconfig, as JSON, which is YAML, for the account of a token
// Secret that has a token, as [EnsureSecret] returns it. It holds the token: it is as
// secret as the Secret itself. It returns an error naming every invalid field of opts, each
// as a [*ConfigError], or a [*SecretConflictError] for a Secret without a token.
func Kubeconfig(secret *corev1.Secret, opts KubeconfigOptions) ([]byte, error) {
	mistakes := configerror.List{Config: "tokensource.KubeconfigOptions"}
	if u, err := url.Parse(opts.Server); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		mistakes.Add("Server", "is not an https URL of a server")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, &SecretConflictError{Problem: "it is nil"}
	}
	token := string(secret.Data[corev1.ServiceAccountTokenKey])
	if opts.TokenFile != "" {
		token = ""
	} else if token == "" {
		return nil, &SecretConflictError{secret.Namespace, secret.Name, "it has no token"}
	}
	first := func(values ...string) string {
		for _, value := range values {
			if value != "" {
				return value
			}
		}
		return ""
	}
	ca := opts.CA
	if len(ca) == 0 {
		ca = secret.Data[corev1.ServiceAccountRootCAKey]
	}
	cluster := first(opts.Cluster, "default")
	user := first(opts.User, secret.Annotations[corev1.ServiceAccountNameKey], "default")
	config := kubeconfig{
		APIVersion: "v1", Kind: "Config", CurrentContext: cluster,
		Clusters: []namedCluster{{cluster, clusterInfo{opts.Server, ca}}},
		Users:    []namedUser{{user, userInfo{token, opts.TokenFile}}},
		Contexts: []namedContext{{cluster, contextInfo{cluster, user, first(opts.Namespace, secret.Namespace)}}},
	}
	return json.MarshalIndent(config, "", "  ")
}

// A kubeconfig is client-go's v1.Config, as far as it is needed.
type (
	kubeconfig struct {
		APIVersion     string         `json:"apiVersion"`
		Kind           string         `json:"kind"`
		Clusters       []namedCluster `json:"clusters"`
		Users          []namedUser    `json:"users"`
		Contexts       []namedContext `json:"contexts"`
		CurrentContext string         `json:"current-context"`
	}
	namedCluster struct {
		Name    string      `json:"name"`
		Cluster clusterInfo `json:"cluster"`
	}
	clusterInfo struct {
		Server string `json:"server"`
		CA     []byte `json:"certificate-authority-data,omitempty"`
	}
	namedUser struct {
		Name string   `json:"name"`
		User userInfo `json:"user"`
	}
	userInfo struct {
		Token     string `json:"token,omitempty"`
		TokenFile string `json:"tokenFile,omitempty"`
	}
	namedContext struct {
		Name    string      `json:"name"`
		Context contextInfo `json:"context"`
	}
	contextInfo struct {
		Cluster   string `json:"cluster"`
		User      string `json:"user"`
		Namespace string `json:"namespace,omitempty"`
	}
)
