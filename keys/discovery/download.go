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
	"slices"
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
		return none, err
	}
	data, header, err := r.get(ctx, u, maxJWKSBytes, "application/jwk-set+json", "application/json")
	if err != nil {
		return none, err
	}
	set, err := keys.ParseJWKS(data)
	if err != nil {
		return none, err
	}
	if len(all(set)) == 0 {
		return none, errors.New("the server publishes no usable keys")
	}
	return downloaded{set, maxAgeOf(header, r.cfg.RefreshEvery)}, nil
}

// discover returns the URL of the keys.
func (r *Remote) discover(ctx context.Context) (jwksURI string, err error) {
	u, err := r.cfg.parseURL(strings.TrimSuffix(r.cfg.Issuer, "/") + ConfigPath)
	if err != nil {
		return "", err
	}
	data, _, err := r.get(ctx, u, maxConfigBytes, "application/json")
	if err != nil {
		return "", err
	}
	config, err := parseConfig(data)
	if err != nil {
		return "", err
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
		return config, errors.New("the discovery document is malformed")
	}
	if json.Unmarshal(data, &config) != nil || config.Issuer == "" || config.JWKSURI == "" {
		return config, errors.New(`the discovery document has no "issuer" or no "jwks_uri"`)
	}
	return config, nil
}

// get returns the body of u, which must have one of the types, and no more than
// limit bytes.
func (r *Remote) get(ctx context.Context, u *url.URL, limit int64, types ...string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", strings.Join(types, ", "))
	if r.cfg.BearerToken != nil && u.Scheme == r.trust.Scheme && u.Host == r.trust.Host {
		token, err := r.cfg.BearerToken(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("getting a bearer token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %d, want 200", u.Redacted(), resp.StatusCode)
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, mediaType) {
		return nil, nil, fmt.Errorf("%s answered with type %.64q, want %s", u.Redacted(), mediaType, strings.Join(types, " or "))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", u.Redacted(), err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s answered with more than %d bytes", u.Redacted(), limit)
	}
	return data, resp.Header, nil
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
