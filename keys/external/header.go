package external

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// minTokenLifetime is the shortest lifetime that a TokenRequest may ask for
// (CST-14).
const minTokenLifetime = 10 * time.Minute

// maxHeaderBytes is more than a header with the longest key id takes, escapes included.
const maxHeaderBytes = 10 << 10

// parseHeader returns the key id of a header, or what is wrong with it
// (KEY-41).
func parseHeader(encoded string) (id string, err error) {
	if len(encoded) > maxHeaderBytes {
		return "", fmt.Errorf("while unwrapping header: longer than %d bytes", maxHeaderBytes)
	}
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", errors.New("while unwrapping header: not base64url")
	}
	var header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}
	if err := strictjson.Check(string(data), 1, []string{"alg", "kid", "typ"}); err != nil {
		return "", errors.New("while parsing header JSON: not one flat JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&header) != nil {
		return "", errors.New(`while parsing header JSON: a member that isn't "alg", "kid" or "typ", or no string`)
	}
	switch {
	case header.Type != "JWT":
		return "", errors.New("bad type")
	case header.KeyID == "":
		return "", errors.New("key id missing")
	case len(header.KeyID) > 1024:
		return "", errors.New("key id longer than 1 kb")
	}
	switch keys.Algorithm(header.Algorithm) {
	case keys.RS256, keys.ES256, keys.ES384, keys.ES512:
		return header.KeyID, nil
	}
	return "", fmt.Errorf("bad signing algorithm %.64q", header.Algorithm)
}

// Lifetimes returns the maximum lifetime of tokens, and that of extended tokens, for a
// server that is configured with serverMax and extendedMax and signs with s. A
// serverMax of zero means that of the service.
func (s *Signer) Lifetimes(ctx context.Context, serverMax, extendedMax time.Duration) (tokenMax, extended time.Duration, err error) {
	start := time.Now()
	signerMax, err := flight.Do(ctx, s.others, s.cfg.Service.MaxTokenLifetime)
	if s.cfg.Observe != nil {
		s.cfg.Observe(ctx, newEvent(MethodMetadata, start, err))
	}
	if err != nil {
		return 0, 0, wrap.Errorf(err, "external: while setting up external-jwt-signer: asking for the longest token lifetime")
	}
	switch {
	case signerMax < minTokenLifetime:
		return 0, 0, fmt.Errorf("external: max token life supported by external-jwt-signer (%ds) is less than acceptable (min %ds)",
			int64(signerMax/time.Second), int64(minTokenLifetime/time.Second))
	case serverMax == 0:
		serverMax = signerMax
	case serverMax > signerMax:
		return 0, 0, fmt.Errorf("external: service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: %s > %s",
			serverMax, signerMax)
	}
	return serverMax, min(signerMax, extendedMax), nil
}
