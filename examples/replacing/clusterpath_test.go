package replacing_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kubesa/serviceaccount/examples/replacing"
)

func TestWithClusterPath(t *testing.T) {
	token := func(payload string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return "Bearer " + encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 64))
	}
	bound := token(`{"kubernetes.io":{"namespace":"ci","clusterName":"root:org"}}`)
	const uri = "/api/v1/pods?labelSelector=a%3D//b"
	for _, tt := range []struct {
		name, uri, authorization, sharded, want string
	}{
		{name: "bound", uri: uri, authorization: bound, want: "/clusters/root:org" + uri},
		{name: "an escaped slash", uri: "/a%2Fb", authorization: bound, want: "/clusters/root:org/a%2Fb"},
		{name: "Secret-based", uri: uri, authorization: token(`{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/clusterName":"abc"}`), want: "/clusters/abc" + uri},
		{name: "of no cluster", uri: uri, authorization: token(`{"kubernetes.io":{"namespace":"ci"}}`), want: uri},
		{name: "a cluster that is a path", uri: uri, authorization: token(`{"kubernetes.io":{"clusterName":"../services"}}`), want: uri},
		{name: "a cluster with a query", uri: uri, authorization: token(`{"kubernetes.io":{"clusterName":"a?b"}}`), want: uri},
		{name: "another kind of token", uri: uri, authorization: "Bearer opaque", want: uri},
		{name: "no token", uri: uri, want: uri},
		{name: "with a cluster already", uri: "/clusters/x/api", authorization: bound, want: "/clusters/x/api"},
		{name: "a virtual workspace", uri: "/services/x", authorization: bound, want: "/services/x"},
		{name: "of a shard", uri: uri, authorization: bound, sharded: "true", want: uri},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tt.uri, nil)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			if tt.sharded != "" {
				r.Header.Set("X-Kubernetes-Sharded-Request", tt.sharded)
			}
			replacing.WithClusterPath(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.RequestURI != tt.want || r.URL.RequestURI() != tt.want {
					t.Errorf("the request is for %s and %s, want %s", r.RequestURI, r.URL.RequestURI(), tt.want)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
}
