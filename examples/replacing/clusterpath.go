package replacing

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/inspect"
)

var logicalClusterName = regexp.MustCompile(`^[a-z0-9][a-z0-9:-]*$`)

// WithClusterPath sends the requests of clients inside a logical cluster, which know no
// paths of clusters, to the one that their token names: kcp's
// WithInClusterServiceAccountRequestRewrite (pkg/server/filters/serviceaccounts.go). The
// handler authenticates them there.
func WithClusterPath(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Kubernetes-Sharded-Request") == "" && !strings.HasPrefix(r.RequestURI, "/clusters/") && !strings.HasPrefix(r.RequestURI, "/services/") {
			if cluster := clusterOf(r); logicalClusterName.MatchString(cluster) {
				prefix := "/clusters/" + cluster
				if r.URL.RawPath != "" {
					r.URL.RawPath = prefix + r.URL.RawPath
				}
				r.URL.Path, r.RequestURI = prefix+r.URL.Path, prefix+r.RequestURI
			}
		}
		handler.ServeHTTP(w, r)
	})
}

// clusterOf returns the logical cluster that the token of r names, unverified.
func clusterOf(r *http.Request) string {
	token, err := bearer.Token(r.Header["Authorization"])
	if err != nil {
		return ""
	}
	claims, err := inspect.PeekUnverified(token)
	if err != nil {
		return ""
	}
	return claims.Others["clusterName"]
}
