package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/keys"
)

// Limits of what is read from a server.
const (
	maxJWKSBytes   = 1 << 20
	maxConfigBytes = 64 << 10
	maxConfigDepth = 16
)

// maxSkippedInText is how many unusable keys an error names.
const maxSkippedInText = 3

// A downloaded set and how long the server lets it be cached.
type downloaded struct {
	set    *keys.Set
	maxAge time.Duration
}

// download fetches the keys, from the address in the discovery document if none is
// configured.
func (r *Remote) download(ctx context.Context) (none downloaded, err error) {
	jwksURL := r.cfg.JWKSURL
	if jwksURL == "" {
		if jwksURL, err = r.discover(ctx); err != nil {
			return none, err
		}
	}
	u, err := r.cfg.parseURL(jwksURL)
	if err != nil {
		return none, fmt.Errorf("the address of the keys: %w", err)
	}
	data, header, err := r.get(ctx, u, maxJWKSBytes, "application/jwk-set+json, application/json")
	if err != nil {
		return none, err
	}
	set, err := keys.ParseJWKS(data)
	if err != nil {
		return none, fmt.Errorf("%w, from %s%s", err, shown(u), typeOf(header))
	}
	if skipped := set.Skipped(); len(all(set)) == 0 {
		if n := len(skipped); n > maxSkippedInText {
			skipped = append(skipped[:maxSkippedInText:maxSkippedInText], fmt.Errorf("and %d more", n-maxSkippedInText))
		}
		return none, errors.Join(append([]error{errors.New("the server publishes no usable keys")}, skipped...)...)
	}
	return downloaded{set, maxAgeOf(header, r.cfg.RefreshEvery)}, nil
}

// discover returns the URL of the keys.
func (r *Remote) discover(ctx context.Context) (jwksURI string, err error) {
	u, err := r.cfg.parseURL(strings.TrimSuffix(r.cfg.Issuer, "/") + ConfigPath)
	if err != nil {
		return "", err
	}
	data, header, err := r.get(ctx, u, maxConfigBytes, "application/json")
	if err != nil {
		return "", err
	}
	config, err := parseConfig(data)
	if err != nil {
		return "", fmt.Errorf("%w, from %s%s", err, shown(u), typeOf(header))
	}
	if config.Issuer != r.cfg.Issuer {
		return "", fmt.Errorf("the discovery document names the issuer %.64q, want %q", config.Issuer, r.cfg.Issuer)
	}
	return config.JWKSURI, nil
}

// A discoveryDocument is what is read of the configuration.
type discoveryDocument struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
}

func parseConfig(data []byte) (config discoveryDocument, err error) {
	if err := strictjson.Check(string(data), maxConfigDepth, []string{"issuer", "jwks_uri"}); err != nil {
		if what := strictjson.Instead(string(data)); what != "" {
			return config, errors.New("the discovery document is malformed: it " + what)
		}
		return config, fmt.Errorf("the discovery document is malformed: %w", err)
	}
	switch json.Unmarshal(data, &config); {
	case config.Issuer == "":
		return config, errors.New(`the discovery document has no "issuer" that is a string`)
	case config.JWKSURI == "":
		return config, errors.New(`the discovery document has no "jwks_uri" that is a string`)
	}
	return config, nil
}

// get returns the body of u, no more than limit bytes. The type of the answer doesn't
// matter: object stores don't know that of the documents, and what isn't a JSON object
// is rejected as that.
func (r *Remote) get(ctx context.Context, u *url.URL, limit int64, accept string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", accept)
	if r.cfg.BearerToken != nil && u.Scheme == r.trust.Scheme && u.Host == r.trust.Host {
		token, err := r.cfg.BearerToken(ctx)
		if err == nil && token == "" {
			err = errors.New("the function BearerToken returned neither a token nor an error")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("getting a bearer token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.client.Do(req)
	if err != nil { // an *url.Error, which quotes the query
		return nil, nil, fmt.Errorf("getting %s: %w", shown(u), errors.Unwrap(err))
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status >= 300 && status < 400 && status != http.StatusNotModified:
		return nil, nil, fmt.Errorf("%s answered %d, want 200: redirects are not followed", shown(u), status)
	case status != http.StatusOK:
		return nil, nil, fmt.Errorf("%s answered %d, want 200", shown(u), status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", shown(u), err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s answered with more than %d bytes", shown(u), limit)
	}
	return data, resp.Header, nil
}

// maxShownURL is how much of a URL errors show.
const maxShownURL = 256

// shown returns u as errors show it: a query may hold a credential, as those of
// object stores do.
func shown(u *url.URL) string {
	s := *u
	if s.RawQuery != "" {
		s.RawQuery = "..."
	}
	text := s.Redacted()
	return text[:min(len(text), maxShownURL)]
}

// typeOf says which coding or type an answer has that isn't what was asked for, if any.
func typeOf(header http.Header) string {
	if coding := header.Get("Content-Encoding"); coding != "" {
		return fmt.Sprintf(", which answers with content coding %.64q", coding)
	}
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || strings.HasSuffix(mediaType, "json") {
		return ""
	}
	return fmt.Sprintf(", which answers with type %.64q", mediaType)
}

// maxAgeOf returns the max-age of an answer, or fallback.
func maxAgeOf(header http.Header, fallback time.Duration) time.Duration {
	for _, value := range header.Values("Cache-Control") {
		for item := range strings.SplitSeq(value, ",") {
			name, arg, _ := strings.Cut(strings.ToLower(strings.TrimSpace(item)), "=")
			switch name {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if n, err := strconv.ParseUint(strings.Trim(arg, `"`), 10, 31); err == nil {
					return time.Duration(n) * time.Second
				}
			}
		}
	}
	return fallback
}
