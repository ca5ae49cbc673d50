package tokens_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// KEY-52, KEY-53, TOK-43, TOK-47, TOK-48, TOK-50, V06
func TestNewAuthenticatorRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*tokens.AuthenticatorConfig)
		want   string
	}{
		{"no issuer", func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers, cfg.Legacy = nil, false }, "Issuers is empty"},
		{"empty issuer", func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers = []string{"a", ""} }, "Issuers[1] is empty"},
		{"issuer twice", func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers = []string{"a", "a"} }, `Issuers[1] is "a", which is already specified`},
		{"legacy issuer", func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers = []string{tokens.LegacyIssuer} }, "Issuers[0] is"},
		{"no URL", func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers = []string{"http://["} }, "not a valid URL"},
		{"no keys", func(cfg *tokens.AuthenticatorConfig) { cfg.Keys = nil }, "Keys is required"},
		{"no audience", func(cfg *tokens.AuthenticatorConfig) { cfg.APIAudiences = nil }, "APIAudiences is []"},
		{"empty audience", func(cfg *tokens.AuthenticatorConfig) { cfg.APIAudiences = []string{""} }, `APIAudiences is [""]`},
		{"no accounts", func(cfg *tokens.AuthenticatorConfig) { cfg.ServiceAccounts = nil }, "ServiceAccountTokenGetter must be provided"},
		{"legacy without secrets", func(cfg *tokens.AuthenticatorConfig) { cfg.Secrets = nil }, "Secrets is required"},
		{"typed nil", func(cfg *tokens.AuthenticatorConfig) { cfg.ServiceAccounts = (*tokentest.World)(nil) }, "ServiceAccounts is required"},
		{"typed nil of Secrets", func(cfg *tokens.AuthenticatorConfig) { cfg.Legacy, cfg.Secrets = false, (*tokentest.World)(nil) }, "Secrets is a nil *tokentest.World"},
		{"typed nil of pods", func(cfg *tokens.AuthenticatorConfig) { cfg.Pods = (*tokentest.World)(nil) }, "Pods is a nil *tokentest.World"},
		{"typed nil of nodes", func(cfg *tokens.AuthenticatorConfig) { cfg.Nodes = (*tokentest.World)(nil) }, "Nodes is a nil *tokentest.World"},
		{"typed nil of webhooks", func(cfg *tokens.AuthenticatorConfig) { cfg.Webhooks = (*tokentest.World)(nil) }, "Webhooks is a nil *tokentest.World"},
		{"typed nil of objects", func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = (*tokentest.Jobs)(nil) }, "Objects is a nil *tokentest.Jobs"},
		{"negative checks", func(cfg *tokens.AuthenticatorConfig) { cfg.MaxSignatureChecks = -1 }, "MaxSignatureChecks is -1"},
		{"negative leeway", func(cfg *tokens.AuthenticatorConfig) { cfg.Leeway = -1 }, "Leeway is -1ns"},
		{"two leeways", func(cfg *tokens.AuthenticatorConfig) { cfg.Leeway, cfg.NoLeeway = 1, true }, "NoLeeway is set"},
		{"negative cache", func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = -1 }, "SignatureCacheBytes is -1"},
		{"two cache sizes", func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes, cfg.DisableSignatureCache = 1, true }, "DisableSignatureCache is set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
			tt.change(&cfg)
			if _, err := tokens.NewAuthenticator(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("NewAuthenticator() = %v, want %q", err, tt.want)
			}
		})
	}
	cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
	cfg.Secrets = (*tokentest.World)(nil)
	if _, err := tokens.NewAuthenticator(cfg); err == nil || strings.Count(err.Error(), "Secrets") != 1 {
		t.Errorf("NewAuthenticator() with a typed nil of Secrets = %v, want one mistake", err)
	}
	_, err := tokens.NewAuthenticator(tokens.AuthenticatorConfig{})
	for _, field := range []string{"Issuers", "Keys", "APIAudiences", "ServiceAccounts"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("NewAuthenticator() of nothing = %v, want a mention of %s", err, field)
		}
	}
}

// TOK-46, TOK-80, TOK-81
func TestAuthenticate(t *testing.T) {
	claims := tokentest.BoundClaims()
	private(claims)["warnafter"] = now.Unix() + 60
	id, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
	if err != nil {
		t.Fatal(err)
	}
	want := &tokens.Identity{
		Namespace: "ci", Name: "builder", UID: "uid-of-builder",
		Audiences: []string{api}, Issuer: issuerURL, CredentialID: "JTI=id-1",
		Pod:      tokens.ObjectRef{Name: "job", UID: "uid-of-job"},
		Node:     tokens.ObjectRef{Name: "worker", UID: "uid-of-worker"},
		IssuedAt: now, NotBefore: now, Expiry: now.Add(time.Hour), WarnAfter: now.Add(time.Minute),
	}
	if diff := cmp.Diff(want, id, cmpopts.IgnoreUnexported(tokens.Identity{})); diff != "" {
		t.Errorf("Authenticate() (-want +got):\n%s", diff)
	}
	if id.Username() != "system:serviceaccount:ci:builder" {
		t.Errorf("Username() = %s", id.Username())
	}
}

// What the caller does with the config later changes nothing.
func TestAuthenticatorConfigIsCopied(t *testing.T) {
	cfg := tokentest.AuthenticatorConfig(tokentest.NewWorld())
	cfg.Issuers, cfg.APIAudiences = []string{issuerURL}, []string{api}
	cfg.ExtraClaims = map[string]string{"team": "example.org/team"}
	cfg.Policy.Namespaces = []string{"ci"}
	a := must(tokens.NewAuthenticator(cfg))
	cfg.Issuers[0], cfg.APIAudiences[0], cfg.Policy.Namespaces[0], cfg.ExtraClaims["team"] = "other", "other", "other", "example.org/other"
	claims := tokentest.BoundClaims()
	claims["team"] = "red"
	id, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
	if err != nil || len(id.UserInfo().Extra["example.org/team"]) != 1 {
		t.Errorf("Authenticate() = %+v, %v after a change of the config, want it to be accepted as before", id, err)
	}
}

// No issuer is needed for Secret-based tokens, and the clock is the system's by default.
func TestAuthenticatorDefaults(t *testing.T) {
	w := tokentest.NewWorld()
	token := tokentest.Mint(t, ecKey, tokentest.LegacyClaims())
	w.Secrets["ci/builder-token"].Data["token"] = []byte(token)
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.Issuers, cfg.Now = nil, nil })
	began := time.Now()
	if _, e := a.Evaluate(t.Context(), token); e.Err != nil || e.Time.Before(began) || e.Time.After(time.Now()) {
		t.Errorf("Evaluate() = %+v, want the token to be accepted now", e)
	}
}

// A countingSource counts how often it is asked.
type countingSource struct {
	keys.Source
	asked int
}

func (s *countingSource) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	s.asked++
	return s.Source.PublicKeys(ctx, id)
}

// TOK-30..34, TOK-39, TOK-T20, TOK-T23, TOK-T28, J13, J14, J17, J18, J19, J22, V09
func TestNotRecognized(t *testing.T) {
	good := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
	parts := strings.Split(good, ".")
	foreign := tokentest.BoundClaims()
	foreign["iss"] = "https://elsewhere"
	numeric := tokentest.BoundClaims()
	numeric["iss"] = 5
	none := tokentest.BoundClaims()
	delete(none, "iss")
	upper := tokentest.BoundClaims()
	delete(upper, "iss")
	upper["ISS"] = issuerURL
	both := tokentest.BoundClaims()
	both["Iss"] = "https://elsewhere"
	middle := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + issuerURL + `"}`))

	tests := []struct {
		name, token string
		reason      tokens.Reason
	}{
		{"empty", "", tokens.ReasonMalformed},
		{"opaque", "invalid token", tokens.ReasonMalformed},
		{"two parts", "a.b", tokens.ReasonMalformed},
		{"four parts", good + ".a", tokens.ReasonMalformed},
		{"five parts", "a.b.c.d.e", tokens.ReasonMalformed},
		{"only dots", strings.Repeat(".", 1<<20), tokens.ReasonMalformed},
		{"above 16 KiB", good + strings.Repeat("A", 16<<10), tokens.ReasonMalformed},
		{"space in front", " " + good, tokens.ReasonMalformed},
		{"line break behind", good + "\n", tokens.ReasonMalformed},
		{"line break inside", parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], tokens.ReasonMalformed},
		{"no-break space", "\u00a0" + good, tokens.ReasonMalformed},
		{"byte order mark", "\ufeff" + good, tokens.ReasonMalformed},
		{"padding", parts[0] + "." + parts[1] + "=." + parts[2], tokens.ReasonMalformed},
		{"standard alphabet", strings.Replace(good, ".", "+.", 1), tokens.ReasonMalformed},
		{"no signature", parts[0] + "." + parts[1] + ".", tokens.ReasonMalformed},
		{"JSON serialization", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, tokens.ReasonMalformed},
		{"polyglot", `{"payload":"` + parts[1] + `","x":".` + middle + `."}`, tokens.ReasonMalformed},
		{"payload not an object", tokentest.Mint(t, ecKey, `"text"`), tokens.ReasonMalformed},
		{"payload null", tokentest.Mint(t, ecKey, `null`), tokens.ReasonMalformed},
		{"two payloads", tokentest.Mint(t, ecKey, `{}{}`), tokens.ReasonMalformed},
		{"issuer twice", tokentest.Mint(t, ecKey, `{"iss":"a","\u0069ss":"`+issuerURL+`"}`), tokens.ReasonMalformed},
		{"imitated issuer", tokentest.Mint(t, ecKey, both), tokens.ReasonMalformed},
		{"only imitated issuer", tokentest.Mint(t, ecKey, upper), tokens.ReasonMalformed},
		{"foreign issuer", tokentest.Mint(t, ecKey, foreign), tokens.ReasonForeignIssuer},
		{"numeric issuer", tokentest.Mint(t, ecKey, numeric), tokens.ReasonForeignIssuer},
		{"no issuer", tokentest.Mint(t, ecKey, none), tokens.ReasonForeignIssuer},
	}
	w := tokentest.NewWorld()
	source := &countingSource{Source: must(keys.NewSet(ecKey, rsaKey))}
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.Keys = source })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := a.Authenticate(t.Context(), tt.token)
			e, ok := errors.AsType[*tokens.NotRecognizedError](err)
			if !ok || id != nil || !errors.Is(err, tokens.ErrNotRecognized) || e.Reason != tt.reason {
				t.Fatalf("Authenticate() = %v, %v, want ErrNotRecognized with the reason %s", id, err, tt.reason)
			}
		})
	}
	if source.asked != 0 || w.Lookups != 0 {
		t.Errorf("%d questions for keys and %d lookups, want none for tokens of others", source.asked, w.Lookups)
	}
}

// Legacy tokens are foreign unless asked for; TOK-32
func TestLegacyOff(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Legacy = false })
	if _, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, tokentest.LegacyClaims())); !errors.Is(err, tokens.ErrNotRecognized) {
		t.Fatalf("Authenticate() = %v, want ErrNotRecognized", err)
	}
}

// rawToken joins a header and claims with a signature.
func rawToken(header string, claims object, signature []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString(must(jsonMarshal(claims))) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TOK-35..37, TOK-T21, TOK-T22, TOK-T24..26, J01, J07, V02, V18
func TestSignature(t *testing.T) {
	ecID, rsaID := must(keys.ID(ecKey.Public())), must(keys.ID(rsaKey.Public()))
	claims := tokentest.BoundClaims()
	good := tokentest.Mint(t, ecKey, claims)
	signature := strings.Split(good, ".")[2]
	old := tokentest.BoundClaims()
	old["iss"] = "https://old.example"

	tests := []struct {
		name, token string
		keys        keys.Source
		reason      tokens.Reason
	}{
		{"ES256", good, nil, ""},
		{"RS256", tokentest.Mint(t, rsaKey, claims), nil, ""},
		{"other issuer", tokentest.Mint(t, ecKey, old), nil, ""},
		{"last of three keys", good, must(keys.NewSet(rsaKey, otherKey, ecKey)), ""},
		{"no key id, three keys", tokentest.MintAs(t, ecKey, "", claims), must(keys.NewSet(rsaKey, otherKey, ecKey)), ""},
		{"no key at all", good, must(keys.NewSet()), tokens.ReasonUnknownKey},
		{"no key id, no key", tokentest.MintAs(t, ecKey, "", claims), must(keys.NewSet()), tokens.ReasonUnknownKey},
		{"only other keys", good, must(keys.NewSet(rsaKey, otherKey)), tokens.ReasonUnknownKey},
		{"unknown key id, one key", tokentest.MintAs(t, ecKey, "unknown", claims), must(keys.NewSet(ecKey)), tokens.ReasonUnknownKey},
		{"key id of a path", tokentest.MintAs(t, ecKey, "../../x", claims), nil, tokens.ReasonUnknownKey},
		{"no key id, none fits", tokentest.MintAs(t, otherKey, "", claims), nil, tokens.ReasonSignature},
		{"key id of another key", tokentest.MintAs(t, otherKey, ecID, claims), nil, tokens.ReasonSignature},
		{"key id of a key of another type", tokentest.MintAs(t, ecKey, rsaID, claims), nil, tokens.ReasonSignature},
		{"two keys of one id", good, tokentest.SourceFunc(func() []keys.PublicKey {
			return []keys.PublicKey{{ID: ecID, Key: otherKey.Public()}, {ID: ecID, Key: nil}, {ID: ecID, Key: (*rsa.PublicKey)(nil)}, {ID: ecID, Key: ecKey.Public()}}
		}), ""},
		{"keys that are none", good, tokentest.SourceFunc(func() []keys.PublicKey {
			return []keys.PublicKey{{ID: ecID}, {ID: ecID, Key: []byte("secret")}, {ID: ecID, Key: ecKey}}
		}), tokens.ReasonSignature},
		{"alg none", rawToken(`{"alg":"none"}`, claims, []byte("x")), nil, tokens.ReasonSignature},
		{"alg NONE", rawToken(`{"alg":"NONE","kid":"`+ecID+`"}`, claims, []byte("x")), nil, tokens.ReasonSignature},
		{"alg HS256", rawToken(`{"alg":"HS256","kid":"`+rsaID+`"}`, claims, make([]byte, 32)), nil, tokens.ReasonSignature},
		{"signature of other claims", strings.Join(append(strings.Split(tokentest.Mint(t, ecKey, old), ".")[:2], signature), "."), nil, tokens.ReasonSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
				if tt.keys != nil {
					cfg.Keys = tt.keys
				}
			})
			_, err := a.Authenticate(t.Context(), tt.token)
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantInvalid(t, err, tt.reason, "")
		})
	}
}

// J09, T2: no token with one bit changed is accepted.
func TestBitFlips(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)
	for _, token := range []string{tokentest.Mint(t, ecKey, tokentest.BoundClaims()), tokentest.Mint(t, rsaKey, tokentest.BoundClaims())} {
		if _, err := a.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		for i := range len(token) {
			for bit := range 8 {
				b := []byte(token)
				b[i] ^= 1 << bit
				if id, err := a.Authenticate(t.Context(), string(b)); err == nil {
					t.Fatalf("accepted as %v with bit %d of byte %d changed", id, bit, i)
				}
			}
		}
		for i := range len(token) {
			if _, err := a.Authenticate(t.Context(), token[:i]); err == nil {
				t.Fatalf("accepted after %d of %d bytes", i, len(token))
			}
		}
	}
}

// TOK-40..44, V05, V07, V08
func TestAudiences(t *testing.T) {
	type list = []string
	many := make(list, 65)
	for i := range many {
		many[i] = fmt.Sprint("a", i)
	}
	tests := []struct {
		name      string
		aud       any // of the token; nil for none
		requested list
		want      list
		reason    tokens.Reason
	}{
		{"API audience", list{api}, nil, list{api}, ""},
		{"no request is the API audiences, in their order", list{"api.internal", "x", api}, nil, list{api, "api.internal"}, ""},
		{"empty request", list{api}, list{}, list{api}, ""},
		{"one string", api, nil, list{api}, ""},
		{"order and repetitions of the request", list{"a", "b", "c"}, list{"c", "x", "a", "c"}, list{"c", "a", "c"}, ""},
		{"64 audiences", many[:64], list{"a63"}, list{"a63"}, ""},
		{"for another", list{"vault"}, nil, nil, tokens.ReasonAudience},
		{"for the API, another asked for", list{api}, list{"vault"}, nil, tokens.ReasonAudience},
		{"other case", list{"API"}, nil, nil, tokens.ReasonAudience},
		{"prefix", list{"ap"}, nil, nil, tokens.ReasonAudience},
		{"none", nil, nil, nil, tokens.ReasonMissingClaim},
		{"empty list", list{}, nil, nil, tokens.ReasonMissingClaim},
		{"65 audiences", many, list{"a1"}, nil, tokens.ReasonInvalidClaim},
		{"repetition", list{api, api}, nil, nil, tokens.ReasonInvalidClaim},
		{"a number", 1, nil, nil, tokens.ReasonInvalidClaim},
		{"list with a number", []any{api, 1}, nil, nil, tokens.ReasonInvalidClaim},
		{"nested list", []any{list{api}}, nil, nil, tokens.ReasonInvalidClaim},
		{"null", (*string)(nil), nil, nil, tokens.ReasonInvalidClaim},
		{"list with null", []any{nil}, nil, nil, tokens.ReasonInvalidClaim},
		{"object", object{"a": api}, nil, nil, tokens.ReasonInvalidClaim},
	}
	w := tokentest.NewWorld()
	a := tokentest.NewAuthenticator(t, w, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := tokentest.BoundClaims()
			claims["aud"] = tt.aud
			if tt.aud == nil {
				delete(claims, "aud")
			}
			claims["exp"] = now.Unix() + 60
			if tt.reason == tokens.ReasonAudience {
				claims["exp"] = 1 // TOK-44
			}
			w.Lookups = 0
			id, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims), tt.requested...)
			if tt.reason != "" {
				what := "aud"
				if tt.reason == tokens.ReasonAudience {
					what = ""
				}
				wantInvalid(t, err, tt.reason, what)
				if w.Lookups != 0 {
					t.Errorf("%d lookups, want none", w.Lookups)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, id.Audiences); diff != "" {
				t.Errorf("Audiences (-want +got):\n%s", diff)
			}
		})
	}
}

// V14
func TestKeysUnavailable(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Keys = tokentest.FailingSource{} })
	_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
	if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || e.Subject != "verification keys" {
		t.Fatalf("Authenticate() = %v, want an UnavailableError", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(ctx, tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
	if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !errors.Is(err, context.Canceled) {
		t.Fatalf("Authenticate() with a cancelled context = %v, want an UnavailableError", err)
	}
}
