package main

import (
	"errors"
	"fmt"
	"net/http"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tenant"
)

// newScheme returns the scheme of the server, which works with v1 types. None has the
// defaults of Kubernetes, which are part of k8s.io/kubernetes.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	errs := []error{apiserver.AddToScheme(scheme)}
	for version, add := range map[schema.GroupVersion]func(*runtime.Scheme) error{
		corev1.SchemeGroupVersion:         corev1.AddToScheme,
		rbacv1.SchemeGroupVersion:         rbacv1.AddToScheme,
		coordinationv1.SchemeGroupVersion: coordinationv1.AddToScheme,
	} {
		errs = append(errs, add(scheme), apiserver.AddHub(scheme, version))
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	errs = append(errs, scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind("Secret"), selectable("type")))
	return scheme, errors.Join(errs...)
}

// selectable allows field selectors of names and of label.
func selectable(label string) runtime.FieldLabelConversionFunc {
	return func(name, value string) (string, string, error) {
		if name == label {
			return name, value, nil
		}
		return runtime.DefaultMetaV1FieldSelectorConversion(name, value)
	}
}

// clustersPrefix is where the API of a tenant is: /clusters/<name>/api/….
const clustersPrefix = "/clusters/"

// withTenants names the tenant of a request in its context, and hands it on without the
// tenant in its path. There is no API outside of tenants.
func withTenants(known func(string) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, path, ok := tenantOf(r.URL.Path)
		if !ok {
			if first(r.URL.Path) == "api" || first(r.URL.Path) == "apis" {
				http.Error(w, "want "+clustersPrefix+"<name>"+r.URL.Path, http.StatusNotFound)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if !known(name) {
			http.Error(w, fmt.Sprintf("there is no cluster %.64q", name), http.StatusNotFound)
			return
		}
		r = r.Clone(tenant.NewContext(r.Context(), name))
		r.URL.Path, r.URL.RawPath, r.RequestURI = path, "", path
		if r.URL.RawQuery != "" {
			r.RequestURI += "?" + r.URL.RawQuery
		}
		next.ServeHTTP(w, r)
	})
}
