package apiserver

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"

	"github.com/kubesa/serviceaccount/keys/discovery"
)

// InstallDiscovery adds the documents of publisher to the routes of a server, usually
// those of its Handler.GoRestfulContainer: behind authentication, and behind
// authorization, which needs [ClusterRoles].
func InstallDiscovery(container *restful.Container, publisher *discovery.Publisher) {
	for _, d := range []struct{ path, contentType, operation, doc string }{
		{discovery.ConfigPath, restful.MIME_JSON, "getServiceAccountIssuerOpenIDConfiguration", "get the OpenID configuration of the issuer of service account tokens"},
		{discovery.JWKSPath, "application/jwk-set+json", "getServiceAccountIssuerOpenIDKeyset", "get the public keys of the issuer of service account tokens"},
	} {
		service := new(restful.WebService).Produces(d.contentType).Path(d.path)
		service.Route(service.GET("").Doc(d.doc).Operation(d.operation).Returns(http.StatusOK, "OK", "").
			To(func(r *restful.Request, w *restful.Response) { publisher.ServeHTTP(w.ResponseWriter, r.Request) }))
		container.Add(service)
	}
}
