package compat

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
	"github.com/kubesa/serviceaccount/keys"
)

// accepts is what go-jose v4 makes of a token: the claims, or why it refuses it. It
// checks what RFC 7519 says, with the leeway that Kubernetes has, and knows nothing
// of private claims and objects.
func accepts(c *tokenCase, publics map[string]crypto.PublicKey) (jwt.Claims, error) {
	var claims jwt.Claims
	token, err := jwt.ParseSigned(c.token, []gojose.SignatureAlgorithm{gojose.RS256, gojose.ES256, gojose.ES384, gojose.ES512})
	if err != nil {
		return claims, err
	}
	err = errors.New("no key with the id of the token")
	for id, public := range publics {
		if kid := token.Headers[0].KeyID; kid != "" && kid != id {
			continue
		}
		if err = token.Claims(public, &claims); err == nil {
			break
		}
	}
	if err != nil {
		return claims, err
	}
	expected := jwt.Expected{Time: c.now}
	switch claims.Issuer {
	case testIssuer:
		if expected.AnyAudience = c.requested; c.requested == nil {
			expected.AnyAudience = jwt.Audience{"api"}
		}
	case legacyIssuer:
	default:
		return claims, errors.New("another issuer")
	}
	return claims, claims.ValidateWithLeeway(expected, time.Minute)
}

// joseDeviations are why we refuse what go-jose v4 accepts.
func joseDeviations() []deviation[tokenCase] {
	type d = deviation[tokenCase]
	return []d{
		{"TOK-34: a token is one text, without white space or idle bits", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("space ", "text ")
		}},
		{"TOK-34: a header that says more, or something twice, is none", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("header ", "kid ")
		}},
		{"TOK-34: a member twice, or spelled in another case, is not a claim", func(c *tokenCase) bool {
			return c.refusedAs(notRecognized) && c.has("twice ", "case of ", "more claims", "odd kubernetes.io")
		}},
		{"TOK-61..67: private claims have to be there, and of the right form", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim, gone, recreated, unsupported, replaced) && c.has("odd kubernetes.io", "no kubernetes.io", "case of kubernetes.io", "more claims", "odd sub", "no sub", "case of sub")
		}},
		{"TOK-66: a bound token has an expiry, and its times are whole numbers", func(c *tokenCase) bool {
			return c.refusedAs(missingClaim, invalidClaim) && c.has("no exp", "odd exp", "odd nbf", "odd iat", "odd jti")
		}},
		{"TOK-62: a Secret-based token is the one in its Secret", func(c *tokenCase) bool {
			return c.refusedAs(replaced) && c.legacy && c.has("the Secret holds")
		}},
		{"TOK-42: audiences are a list without repetitions", func(c *tokenCase) bool {
			return c.refusedAs(invalidClaim, missingClaim) && c.has("odd aud")
		}},
		{"TOK-40: a Secret-based token is for the audiences of the API", func(c *tokenCase) bool {
			return c.refusedAs(audience) && c.legacy && !slices.Contains(c.requested, "api")
		}},
	}
}

// What we accept, go-jose v4 accepts, and reads the same subject and audiences in
// it. What it accepts and we refuse has a reason.
func TestTokensAndGoJose(t *testing.T) {
	known := newDeviations(joseDeviations()...)
	publics := map[string]crypto.PublicKey{}
	for _, key := range tokenKeys() {
		publics[key.id] = key.key.Public()
	}
	now := time.Now().Truncate(time.Second)
	var good atomic.Int64
	generate.Check(t, generate.Count(5_000, 1_000_000), func() func(*generate.Source) error {
		both := newBothAuthenticators()
		return func(s *generate.Source) error {
			c := newTokenCase(s, now)
			// Everything that the token speaks of is there.
			c.account, c.secret, c.pod, c.node = state{uid: "account-uid"}, state{uid: "secret-uid"}, state{uid: "pod-uid"}, state{uid: "node-uid"}
			c.listed, c.secretType, c.secretLabels = true, corev1.SecretTypeServiceAccountToken, nil
			for range generate.OneOf(s, 0, 0, 0, 1, 2) {
				at := s.Intn(len(c.token) + 1)
				c.token = c.token[:at] + string(s.Bytes(s.Intn(2))) + c.token[min(len(c.token), at+s.Intn(2)):]
				c.note("text changed")
			}
			both.current = c
			c.ours = both.runOurs(c)
			claims, err := accepts(c, publics)
			c.upstream = tokenOutcome{Class: accepted}
			if err != nil {
				c.upstream = tokenOutcome{Class: "refused by go-jose", text: err.Error()}
			}
			switch {
			case c.ours.Class != accepted && err != nil:
				return nil
			case c.ours.Class != accepted:
				if known.explain(c) {
					return nil
				}
				return fmt.Errorf("go-jose accepts what we refuse: %s", c)
			case err != nil:
				return fmt.Errorf("we accept what go-jose refuses: %s", c)
			case claims.Subject != c.ours.User.Username:
				return fmt.Errorf("go-jose reads subject %q: %s", claims.Subject, c)
			}
			for _, a := range c.ours.Audiences {
				if !c.legacy && !claims.Audience.Contains(a) {
					return fmt.Errorf("go-jose reads the audiences %q: %s", claims.Audience, c)
				}
			}
			good.Add(1)
			return nil
		}
	})
	if good.Load() < 500 {
		t.Errorf("both accept %d tokens, want at least 500", good.Load())
	}
	known.report(t)
}

// Values that members of a JWK may have.
var oddMembers = map[string][]string{
	"kty": {`"RSA"`, `"EC"`, `"oct"`, `"OKP"`, `"ec"`, `null`, `7`},
	"alg": {`"RS256"`, `"ES256"`, `"ES384"`, `"PS256"`, `"RS512"`, `""`, `null`, `7`},
	"use": {`"sig"`, `"enc"`, `""`, `null`, `[]`},
	"kid": {`"a"`, `""`, `null`, `7`, `"b\u0000"`},
	"crv": {`"P-256"`, `"P-384"`, `"P-521"`, `"P-224"`, `"secp256k1"`, `"p-256"`, `null`},
	"n":   {`""`, `"AQAB"`, `"_"`, `"A"`, `null`, `7`},
	"e":   {`"AQAB"`, `"AAEAAQ"`, `"Aw"`, `"AA"`, `"AQ"`, `"_____w"`, `""`, `null`},
	"x":   {`""`, `"AA"`, `"="`, `null`, `7`},
	"y":   {`""`, `"AA"`, `"="`, `null`, `7`},
	"d":   {`"AA"`, `""`, `null`},
	"x5c": {`[]`, `null`},
}

// What we read in a JWK Set, go-jose v4 reads the same, whatever is odd about the
// set. That we read fewer keys is our strictness. Members of keys of another type,
// such as "n" of an elliptic curve, and certificates are none for us (RFC 7517 section 4), while
// go-jose wants them to be well-formed; the cases have none.
func TestJWKSAndGoJose(t *testing.T) {
	var read, skipped atomic.Int64
	generate.Check(t, generate.Count(4_000, 200_000), func() func(*generate.Source) error {
		return func(s *generate.Source) error {
			key := generate.OneOf(s, tokenKeys()...)
			data := must(json.Marshal(gojose.JSONWebKey{Key: key.key.Public(), KeyID: key.id, Algorithm: key.alg, Use: "sig"}))
			var members map[string]json.RawMessage
			if err := json.Unmarshal(data, &members); err != nil {
				return err
			}
			names := []string{"kty", "alg", "use", "kid", "d", "x5c"}
			if members["n"] != nil {
				names = append(names, "n", "e")
			} else {
				names = append(names, "crv", "x", "y")
			}
			for range s.Intn(3) {
				name := generate.OneOf(s, names...)
				if values := oddMembers[name]; s.Chance(80) {
					members[name] = json.RawMessage(generate.OneOf(s, values...))
				} else {
					delete(members, name)
				}
			}
			text := `{"keys":[` + string(must(json.Marshal(members))) + `]}`
			set, err := keys.ParseJWKS([]byte(text))
			if err != nil {
				return fmt.Errorf("ParseJWKS: %w of %s", err, text)
			}
			ours, err := set.PublicKeys(context.Background(), "")
			if err != nil && !errors.Is(err, keys.ErrNoKeys) && len(ours) > 0 {
				return err
			}
			if len(ours) == 0 {
				skipped.Add(1)
				return nil
			}
			read.Add(1)
			var theirs gojose.JSONWebKeySet
			if err := json.Unmarshal([]byte(text), &theirs); err != nil || len(theirs.Keys) != 1 {
				return fmt.Errorf("go-jose reads %d keys (%v) where we read one: %s", len(theirs.Keys), err, text)
			}
			their := theirs.Keys[0]
			if equal, ok := ours[0].Key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(their.Key) || ours[0].ID != their.KeyID {
				return fmt.Errorf("go-jose reads another key: %s", text)
			}
			if alg := string(ours[0].Algorithm); their.Algorithm != "" && their.Algorithm != alg || their.Use != "" && their.Use != "sig" {
				return fmt.Errorf("we read %s for %q of %q: %s", alg, their.Algorithm, their.Use, text)
			}
			return nil
		}
	})
	if read.Load() == 0 || skipped.Load() == 0 {
		t.Errorf("%d sets were read, %d not: want some of each", read.Load(), skipped.Load())
	}
}
