package discovery

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// ServeHTTP serves the two documents to GET requests, with or without a
// trailing slash. Other paths get 404, other methods 405, clients that don't accept
// the document's content type 406, and those that have the document 304. While there
// are no documents it answers 503. If the issuer has a path, use [http.StripPrefix].
func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var contentType string
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case ConfigPath:
		contentType = "application/json"
	case JWKSPath:
		contentType = "application/jwk-set+json"
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if !accepts(r.Header.Values("Accept"), contentType) {
		http.Error(w, "not acceptable, want "+contentType, http.StatusNotAcceptable)
		return
	}
	docs := p.fresh(r.Context())
	doc := docs.config
	if contentType != "application/json" {
		doc = docs.jwks
	}
	h := w.Header()
	if doc.data == nil {
		h.Set("Retry-After", "1")
		http.Error(w, "there are no keys to publish yet", http.StatusServiceUnavailable)
		return
	}
	h.Set("Cache-Control", docs.cacheControl)
	h.Set("Etag", doc.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if hasETag(r.Header.Values("If-None-Match"), doc.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(doc.data)))
	_, _ = w.Write(doc.data) // nobody is left to tell
}

// accepts reports whether the Accept headers allow contentType. None at all
// allow everything.
func accepts(headers []string, contentType string) bool {
	empty := true
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			empty = false
			mediaType, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
				continue
			}
			if mediaType == contentType || mediaType == "*/*" || mediaType == "application/*" {
				return true
			}
		}
	}
	return empty
}

// hasETag reports whether If-None-Match names etag.
func hasETag(headers []string, etag string) bool {
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == etag || item == "*" {
				return true
			}
		}
	}
	return false
}
