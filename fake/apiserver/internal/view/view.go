package apiserver

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// view is the form in which a client wants objects: whole if it is zero.
type view struct {
	table, metadata bool
	ofList          bool // the metadata of a list, which an object can't be, nor a list one object
}

// clause is one item of an Accept header.
type clause struct {
	mediaType string
	params    map[string]string
	quality   float64
}

// negotiate finds the form in Accept headers that the client likes best of those that
// can be served: other forms than the whole if there are objects, and streams for
// watches. No header at all asks for JSON.
func negotiate(headers []string, objects, watching bool) (view, bool) {
	clauses := accepted(headers)
	for _, c := range clauses {
		if c.quality <= 0 || c.mediaType != "application/json" && c.mediaType != "application/*" && c.mediaType != "*/*" {
			continue
		}
		if stream := c.params["stream"]; stream != "" && (stream != "watch" || !watching) {
			continue
		}
		switch as := c.params["as"]; {
		case as == "":
			return view{}, true
		case !objects || c.params["g"] != metav1.GroupName || c.params["v"] != "v1":
		case as == "Table":
			return view{table: true}, true
		case as == "PartialObjectMetadata" || as == "PartialObjectMetadataList":
			return view{metadata: true, ofList: as == "PartialObjectMetadataList"}, true
		}
	}
	return view{}, len(clauses) == 0
}

// accepted returns the items of Accept headers, those that the client likes best
// first.
func accepted(headers []string) []clause {
	var clauses []clause
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(item) == "" {
				continue
			}
			c := clause{quality: 1}
			var err error
			if c.mediaType, c.params, err = mime.ParseMediaType(item); err != nil {
				c.quality = 0
			} else if q, ok := c.params["q"]; ok {
				if c.quality, err = strconv.ParseFloat(q, 64); err != nil {
					c.quality = 1
				}
			}
			clauses = append(clauses, c)
		}
	}
	slices.SortStableFunc(clauses, func(a, b clause) int { return cmp.Compare(b.quality, a.quality) })
	return clauses
}

func errNotAcceptable(text string) error {
	return statusError(http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, text)
}

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
