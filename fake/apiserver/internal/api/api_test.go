package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/apiserver/internal/api"
)

// What clients read before anything else.
func TestDocument(t *testing.T) {
	const (
		authentication = `"name":"authentication.k8s.io","versions":[{"groupVersion":"authentication.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"authentication.k8s.io/v1","version":"v1"}`
		certificates   = `"name":"certificates.k8s.io","versions":[{"groupVersion":"certificates.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"certificates.k8s.io/v1","version":"v1"}`
	)
	for path, want := range map[string]string{
		"/version":                         `{"buildDate":"2026-01-01T00:00:00Z","compiler":"gc","gitCommit":"","gitTreeState":"clean","gitVersion":"v1.37.0+fake","goVersion":"go","major":"1","minor":"37","platform":"linux/amd64"}`,
		"/api":                             `{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":"fake.example:443"}]}`,
		"/apis":                            `{"kind":"APIGroupList","apiVersion":"v1","groups":[{` + authentication + `},{` + certificates + `}]}`,
		"/apis/authentication.k8s.io":      `{"kind":"APIGroup","apiVersion":"v1",` + authentication + `}`,
		"/apis/certificates.k8s.io":        `{"kind":"APIGroup","apiVersion":"v1",` + certificates + `}`,
		"/openapi/v3":                      `{"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1"},"apis/authentication.k8s.io/v1":{"serverRelativeURL":"/openapi/v3/apis/authentication.k8s.io/v1"},"apis/certificates.k8s.io/v1":{"serverRelativeURL":"/openapi/v3/apis/certificates.k8s.io/v1"}}}`,
		"/apis/authentication.k8s.io/v2":   `null`,
		"/apis/apps":                       `null`,
		"/api/v1/pods":                     `null`,
		"/openapi/v3/apis/apps/v1":         `null`,
		"/apis/certificates.k8s.io/v1beta": `null`,
	} {
		got, err := json.Marshal(api.Document(path, "fake.example:443"))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s (%v), want %s", path, got, err, want)
		}
	}
}

// The paths that "/" names are served, and so is nothing else with a document.
func TestRootPaths(t *testing.T) {
	paths := api.Document("", "").(metav1.RootPaths).Paths
	if !slices.IsSorted(paths) || !slices.Contains(paths, "/api/v1") || !slices.Contains(paths, "/openid/v1/jwks") {
		t.Errorf("got %q, want them sorted, with the API and the keys", paths)
	}
	for _, path := range paths {
		if strings.HasPrefix(path, "/api") && api.Document(strings.TrimSuffix(path, "/"), "") == nil {
			t.Errorf("%s has no document", path)
		}
	}
	for path, want := range map[string]bool{
		"": true, "/api": true, "/api/v1": true, "/api/v2": true, "/apis": true, "/apis/authentication.k8s.io/v9": true, "/apis/certificates.k8s.io": true, "/openapi/v3/x": true, "/version": true,
		"/apiary": false, "/apis/apps": false, "/apis/authentication.k8s.io.example": false, "/versions": false, "/openapi": false, "/healthz": false,
	} {
		if got := api.Has(path); got != want {
			t.Errorf("Has(%q) = %v, want %v", path, got, want)
		}
	}
}

// The resources of each group, with what can be done to them.
func TestResources(t *testing.T) {
	const all = "create,delete,deletecollection,get,list,patch,update,watch"
	for path, want := range map[string][]string{
		"/api/v1": {
			"namespaces (namespace) Namespace ns create,delete,get,list,patch,update,watch",
			"namespaces/finalize () Namespace  update",
			"namespaces/status () Namespace  get,update,patch",
			"nodes (node) Node no " + all,
			"nodes/status () Node  get,update,patch",
			"serviceaccounts (serviceaccount) namespaced ServiceAccount sa " + all,
			"serviceaccounts/token () namespaced authentication.k8s.io/v1 TokenRequest  create",
			"secrets (secret) namespaced Secret  " + all,
			"pods (pod) namespaced Pod po " + all + " all",
			"pods/ephemeralcontainers () namespaced Pod  get,update,patch",
			"pods/resize () namespaced Pod  get,update,patch",
			"pods/status () namespaced Pod  get,update,patch",
			"configmaps (configmap) namespaced ConfigMap cm " + all,
			"events (event) namespaced Event ev get,list,watch",
		},
		"/apis/certificates.k8s.io/v1": {"clustertrustbundles (clustertrustbundle) ClusterTrustBundle  " + all},
		"/apis/authentication.k8s.io/v1": {
			"selfsubjectreviews (selfsubjectreview) SelfSubjectReview  create", "tokenreviews (tokenreview) TokenReview  create",
		},
	} {
		list := api.Document(path, "").(metav1.APIResourceList)
		var got []string
		for _, r := range list.APIResources {
			line := r.Name + " (" + r.SingularName + ")"
			if r.Namespaced {
				line += " namespaced"
			}
			if r.Group != "" {
				line += " " + r.Group + "/" + r.Version
			}
			line += " " + r.Kind + " " + strings.Join(r.ShortNames, ",") + " " + strings.Join(r.Verbs, ",")
			if len(r.Categories) > 0 {
				line += " " + strings.Join(r.Categories, ",")
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if list.Kind != "APIResourceList" || list.APIVersion != "v1" || !strings.HasSuffix(path, "/"+list.GroupVersion) {
			t.Errorf("%s: got %+v of %s", path, list.TypeMeta, list.GroupVersion)
		}
	}
	for subresource, want := range map[string]string{"token": "POST", "finalize": "PUT", "status": "GET PUT PATCH", "resize": "GET PUT PATCH"} {
		if got := strings.Join(api.MethodsOf(subresource), " "); got != want {
			t.Errorf("MethodsOf(%q) = %s, want %s", subresource, got, want)
		}
	}
}

// kubectl learns from OpenAPI which writes have fieldValidation.
func TestOpenAPI(t *testing.T) {
	type operation struct {
		OperationID string            `json:"operationId"`
		Action      string            `json:"x-kubernetes-action"`
		Kind        map[string]string `json:"x-kubernetes-group-version-kind"`
		Parameters  json.RawMessage   `json:"parameters"`
	}
	parameter := func(name string) string {
		return `{"in":"query","name":"` + name + `","schema":{"type":"string","uniqueItems":true}}`
	}
	parameters := "[" + parameter("dryRun") + "," + parameter("fieldManager") + "," + parameter("fieldValidation") + "]"
	for path, want := range map[string][]string{
		"/openapi/v3/api/v1": {
			"/api/v1/namespaces post postCoreV1Namespace /v1 Namespace", "/api/v1/namespaces/{name} patch patchCoreV1Namespace /v1 Namespace", "/api/v1/namespaces/{name} put putCoreV1Namespace /v1 Namespace",
			"/api/v1/nodes post postCoreV1Node /v1 Node", "/api/v1/nodes/{name} patch patchCoreV1Node /v1 Node", "/api/v1/nodes/{name} put putCoreV1Node /v1 Node",
		},
		"/openapi/v3/apis/certificates.k8s.io/v1": {
			"/apis/certificates.k8s.io/v1/clustertrustbundles post postCertificatesV1ClusterTrustBundle certificates.k8s.io/v1 ClusterTrustBundle",
			"/apis/certificates.k8s.io/v1/clustertrustbundles/{name} patch patchCertificatesV1ClusterTrustBundle certificates.k8s.io/v1 ClusterTrustBundle",
			"/apis/certificates.k8s.io/v1/clustertrustbundles/{name} put putCertificatesV1ClusterTrustBundle certificates.k8s.io/v1 ClusterTrustBundle",
		},
		"/openapi/v3/apis/authentication.k8s.io/v1": nil,
	} {
		data, err := json.Marshal(api.Document(path, ""))
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			OpenAPI string                          `json:"openapi"`
			Paths   map[string]map[string]operation `json:"paths"`
		}
		if err := json.Unmarshal(data, &document); err != nil || document.OpenAPI != "3.0.0" || document.Paths == nil {
			t.Fatalf("%s: %v in %s", path, err, data)
		}
		var got []string
		for name, operations := range document.Paths {
			for method, o := range operations {
				if strings.Contains(name, "{namespace}/") {
					if !strings.HasPrefix(name, "/api/v1/namespaces/{namespace}/") {
						t.Errorf("%s: got %s", path, name)
					}
					continue // those of namespaces are alike
				}
				got = append(got, fmt.Sprintf("%s %s %s %s/%s %s", name, method, o.OperationID, o.Kind["group"], o.Kind["version"], o.Kind["kind"]))
				if o.Action != method || string(o.Parameters) != parameters {
					t.Errorf("%s %s: got %+v with %s", name, method, o, o.Parameters)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// Health is good, and says so in detail to whoever asks.
func TestHealth(t *testing.T) {
	for query, want := range map[string]string{
		"":                                 "ok",
		"exclude=ping":                     "ok",
		"verbose":                          "[+]ping ok\nlivez check passed\n",
		"verbose&exclude=ping":             "[+]ping excluded: ok\nlivez check passed\n",
		"verbose&exclude=a":                "[+]ping ok\nlivez check passed\n",
		"verbose=1&exclude=a&exclude=ping": "[+]ping excluded: ok\nlivez check passed\n",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := api.Health("livez", values); got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
}
