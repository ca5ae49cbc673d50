package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pretty reports whether answers are for people: the query says so, or the client is
// a program that shows what it gets.
func pretty(r *http.Request) bool {
	if asked := r.URL.Query().Get("pretty"); asked != "" {
		yes, err := strconv.ParseBool(asked)
		return err == nil && yes
	}
	return slices.ContainsFunc([]string{"curl", "Wget", "Mozilla/5.0"}, func(name string) bool {
		return strings.HasPrefix(r.UserAgent(), name)
	})
}

// isTrue reads a parameter of the query as the API server does.
func isTrue(query url.Values, name string) bool {
	values, ok := query[name]
	if !ok || len(values) == 0 {
		return false
	}
	switch strings.ToLower(values[0]) {
	case "false", "0":
		return false
	}
	return true
}

// unsupported refuses what headers and the query ask for and this server doesn't do,
// as ignoring it would do something else than what was asked for.
func unsupported(r *http.Request) error {
	for name := range r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			return statusError(http.StatusForbidden, metav1.StatusReasonForbidden, "the header "+name+" asks for impersonation, which is not served")
		}
	}
	for _, protocol := range r.Header.Values("Upgrade") { // HTTP/2 is no other API
		if protocol = strings.ToLower(protocol); strings.Contains(protocol, "websocket") || strings.Contains(protocol, "spdy") {
			return apierrors.NewBadRequest("the header Upgrade asks for another protocol, which is not served")
		}
	}
	if r.URL.Query().Get("shardSelector") != "" {
		return apierrors.NewBadRequest("the parameter shardSelector asks for a part of a collection, which is not served")
	}
	return nil
}
