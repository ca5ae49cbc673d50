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

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
)

// Limits of what is read from a server.
const (
	maxJWKSBytes   = 1 << 20
	maxConfigBytes = 64 << 10
	maxConfigDepth = 16
)

// download fetches the keys, from the address that the discovery document says
// if none is configured. maxAge is how long the server lets them be kept.
func (r *Remote) download(ctx context.Context) (set *keys.Set, maxAge time.Duration, err error) {
	jwksURL := r.cfg.JWKSURL
	if jwksURL == "" {
		if jwksURL, err = r.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	u, err := r.cfg.parseURL(jwksURL)
	if err != nil {
		return nil, 0, err
	}
	data, header, err := r.get(ctx, u, maxJWKSBytes, "application/jwk-set+json", "application/json")
	if err != nil {
		return nil, 0, err
	}
	if set, err = keys.ParseJWKS(data); err != nil {
		return nil, 0, err
	}
	if list, _ := set.PublicKeys(ctx, ""); len(list) == 0 {
		return nil, 0, errors.New("the server publishes no usable keys")
	}
	return set, maxAgeOf(header, r.cfg.RefreshEvery), nil
}

// discover returns the address of the keys.
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

// A discoveryDocument is what is read of one.
type discoveryDocument struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
}

func parseConfig(data []byte) (config discoveryDocument, err error) {
	if err := jose.CheckObject(data, maxConfigDepth, []string{"issuer", "jwks_uri"}); err != nil {
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
