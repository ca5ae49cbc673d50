package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/keys/discovery"
)

// What the model of the Cluster is, as clients ask for it.
const (
	apiMajor   = "1"
	apiMinor   = "37"
	apiVersion = "v1.37.0+fake"
)

// EventsResource is served, although there are none.
const EventsResource = "events"

// CertificatesPath is where certificates.k8s.io is served.
const CertificatesPath = "/apis/" + certificatesv1.GroupName + "/v1"

// Document returns the document at path of the server at host, or nil. It describes the
// API itself. Clients that would rather have the aggregated form take these.
func Document(path, host string) any {
	switch path {
	case "":
		return metav1.RootPaths{Paths: rootPaths}
	case "/version":
		return map[string]string{
			"major": apiMajor, "minor": apiMinor, "gitVersion": apiVersion, "gitCommit": "", "gitTreeState": "clean",
			"buildDate": fake.Epoch.Format("2006-01-02T15:04:05Z"), "goVersion": "go", "compiler": "gc", "platform": "linux/amd64",
		}
	case "/api":
		return metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: host}},
		}
	case "/apis":
		return metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{
			groupOf(authenticationv1.SchemeGroupVersion), groupOf(certificatesv1.SchemeGroupVersion),
		}}
	case "/apis/" + authenticationv1.GroupName:
		return oneGroup(authenticationv1.SchemeGroupVersion)
	case "/apis/" + certificatesv1.GroupName:
		return oneGroup(certificatesv1.SchemeGroupVersion)
	case "/api/v1":
		return resourceList("v1", append(resourcesOf(""), metav1.APIResource{
			Name: EventsResource, SingularName: "event", Namespaced: true, Kind: "Event", ShortNames: []string{"ev"},
			Verbs: metav1.Verbs{"get", "list", "watch"},
		}))
	case CertificatesPath:
		return resourceList(certificatesv1.SchemeGroupVersion.String(), resourcesOf(certificatesv1.GroupName))
	case "/apis/" + authenticationv1.SchemeGroupVersion.String():
		return resourceList(authenticationv1.SchemeGroupVersion.String(), []metav1.APIResource{
			{Name: "selfsubjectreviews", SingularName: "selfsubjectreview", Kind: "SelfSubjectReview", Verbs: metav1.Verbs{"create"}},
			{Name: "tokenreviews", SingularName: "tokenreview", Kind: "TokenReview", Verbs: metav1.Verbs{"create"}},
		})
	case "/openapi/v3":
		return openAPIRoot()
	case "/openapi/v3/api/v1":
		return openAPIOf("")
	case "/openapi/v3" + CertificatesPath:
		return openAPIOf(certificatesv1.GroupName)
	case "/openapi/v3/apis/" + authenticationv1.SchemeGroupVersion.String():
		return openAPI(map[string]any{})
	}
	return nil
}

// rootPaths are what "/" tells of, sorted.
var rootPaths = []string{
	discovery.ConfigPath, "/api", "/api/v1", "/apis", "/apis/",
	"/apis/" + authenticationv1.GroupName, "/apis/" + authenticationv1.SchemeGroupVersion.String(),
	"/apis/" + certificatesv1.GroupName, CertificatesPath,
	"/healthz", "/healthz/ping", "/livez", "/livez/ping", "/openapi/v3", discovery.JWKSPath, "/readyz", "/readyz/ping", "/version",
}

// Has reports whether path is where the API answers, with a Status at least.
func Has(path string) bool {
	for _, root := range []string{"/api", "/openapi/v3", "/apis/" + authenticationv1.GroupName, "/apis/" + certificatesv1.GroupName} {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return path == "" || path == "/apis" || path == "/version"
}

// Health is what a program called name answers about its health, which is always good.
func Health(name string, query url.Values) string {
	if !query.Has("verbose") {
		return "ok"
	}
	excluded := ""
	if slices.Contains(query["exclude"], "ping") {
		excluded = " excluded:"
	}
	return "[+]ping" + excluded + " ok\n" + name + " check passed\n"
}

func groupOf(v1 schema.GroupVersion) metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{GroupVersion: v1.String(), Version: v1.Version}
	return metav1.APIGroup{Name: v1.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
}

func oneGroup(v1 schema.GroupVersion) metav1.APIGroup {
	group := groupOf(v1)
	group.Kind, group.APIVersion = "APIGroup", "v1"
	return group
}

func resourceList(groupVersion string, resources []metav1.APIResource) metav1.APIResourceList {
	return metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: groupVersion, APIResources: resources,
	}
}

// resourcesOf describes the resources of a group of the Cluster.
func resourcesOf(group string) []metav1.APIResource {
	var resources []metav1.APIResource
	for _, k := range object.Kinds {
		if k.Group != group {
			continue
		}
		whole := metav1.APIResource{
			Name: k.Resource, SingularName: k.Singular, Namespaced: k.Namespaced, Kind: k.Name, ShortNames: k.ShortNames,
			Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
		}
		if k == object.Namespaces { // which are deleted one by one
			whole.Verbs = metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}
		}
		if k == object.Pods {
			whole.Categories = []string{"all"}
		}
		resources = append(resources, whole)
		for _, name := range []string{object.EphemeralSubresource, object.FinalizeSubresource, object.ResizeSubresource, "status", object.TokenSubresource} {
			if k.HasSubresource(name) {
				resources = append(resources, subresource(k, name))
			}
		}
	}
	return resources
}

func subresource(k *object.Kind, name string) metav1.APIResource {
	r := metav1.APIResource{Name: k.Resource + "/" + name, Namespaced: k.Namespaced, Kind: k.Name}
	for _, method := range MethodsOf(name) {
		r.Verbs = append(r.Verbs, verbOf(method))
	}
	if name == object.TokenSubresource {
		r.Group, r.Version, r.Kind = authenticationv1.GroupName, "v1", "TokenRequest"
	}
	return r
}

// MethodsOf returns what is allowed on a subresource.
func MethodsOf(subresource string) []string {
	switch subresource {
	case object.TokenSubresource:
		return []string{http.MethodPost}
	case object.FinalizeSubresource:
		return []string{http.MethodPut}
	}
	return []string{http.MethodGet, http.MethodPut, http.MethodPatch}
}

// verbOf returns the verb of a method of [MethodsOf].
func verbOf(method string) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	}
	return "get"
}

// openAPIRoot is the index of the OpenAPI documents.
func openAPIRoot() any {
	paths := map[string]any{}
	for _, name := range []string{"api/v1", "apis/" + authenticationv1.SchemeGroupVersion.String(), CertificatesPath[1:]} {
		paths[name] = map[string]string{"serverRelativeURL": "/openapi/v3/" + name}
	}
	return map[string]any{"paths": paths}
}

func openAPI(paths map[string]any) any {
	return map[string]any{
		"openapi": "3.0.0", "info": map[string]string{"title": "Kubernetes", "version": apiVersion},
		"paths": paths, "components": map[string]any{"schemas": map[string]any{}},
	}
}

// openAPIOf says as much of the API as kubectl has to know before it leaves
// the judgement of manifests to the server: that there is fieldValidation.
func openAPIOf(group string) any {
	root, id := "/api/v1/", "CoreV1"
	if group != "" {
		root, id = CertificatesPath+"/", "CertificatesV1"
	}
	paths := map[string]any{}
	for _, k := range object.Kinds {
		if k.Group != group {
			continue
		}
		collection := root + k.Resource
		if k.Namespaced {
			collection = root + "namespaces/{namespace}/" + k.Resource
		}
		operation := func(action string) any {
			return map[string]any{
				"operationId":                     action + id + k.Name,
				"x-kubernetes-action":             action,
				"x-kubernetes-group-version-kind": map[string]string{"group": k.Group, "version": "v1", "kind": k.Name},
				"parameters": []any{
					openAPIParameter("dryRun"), openAPIParameter("fieldManager"), openAPIParameter("fieldValidation"),
				},
				"responses": map[string]any{"200": map[string]string{"description": http.StatusText(http.StatusOK)}},
			}
		}
		paths[collection] = map[string]any{"post": operation("post")}
		paths[collection+"/{name}"] = map[string]any{"put": operation("put"), "patch": operation("patch")}
	}
	return openAPI(paths)
}

func openAPIParameter(name string) any {
	return map[string]any{"name": name, "in": "query", "schema": map[string]any{"type": "string", "uniqueItems": true}}
}
