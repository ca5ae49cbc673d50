package tokens_test

import (
	"crypto"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

const longestToken = 16 << 10

// tokenOf returns a token of exactly size bytes.
func tokenOf(t *testing.T, size int) string {
	t.Helper()
	for _, id := range []string{"", must(idOf(ecKey))} {
		c := tokentest.BoundClaims()
		c["padding"] = ""
		token := tokentest.MintAs(t, ecKey, id, c)
		for n := (size - len(token)) * 3 / 4; len(token) < size; n++ {
			c["padding"] = strings.Repeat("x", n)
			token = tokentest.MintAs(t, ecKey, id, c)
		}
		if len(token) == size {
			return token
		}
	}
	t.Fatalf("no token of %d bytes", size)
	return ""
}

// A token of 16 KiB is read, and one byte more is too long, with and without the
// cache.
func TestLongestToken(t *testing.T) {
	token := tokenOf(t, longestToken)
	a := newCachedAuthenticator(t, tokentest.NewWorld(), nil)
	a.warm(t, token)
	uncached := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.DisableSignatureCache = true })
	for _, a := range []*tokens.Authenticator{a.Authenticator, uncached} {
		if _, err := a.Authenticate(t.Context(), token); err != nil {
			t.Errorf("a token of 16 KiB: %v", err)
		}
		for _, longer := range []string{token + "A", tokenOf(t, longestToken+1)} {
			if _, err := a.Authenticate(t.Context(), longer); !errors.Is(err, tokens.ErrNotRecognized) {
				t.Errorf("a token of 16 KiB and a byte: %v, want ErrNotRecognized", err)
			}
		}
	}
}

// The cache of signatures is bounded in bytes, whatever the tokens weigh.
func TestCacheBytes(t *testing.T) {
	for name, tt := range map[string]struct{ tokens, audienceBytes int }{"16 KiB": {200, 150}, "usual": {2000, 0}} {
		t.Run(name, func(t *testing.T) {
			a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.SignatureCacheBytes = 1 << 20 })
			c := tokentest.BoundClaims()
			if tt.audienceBytes > 0 {
				audiences := []string{api}
				for i := range 63 {
					audiences = append(audiences, fmt.Sprintf("%02d%s", i, strings.Repeat("x", tt.audienceBytes)))
				}
				c["aud"] = audiences
			}
			busy := tokentest.Mint(t, ecKey, tokentest.BoundClaims())
			a.warm(t, busy)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range tt.tokens {
				c["jti"] = fmt.Sprint("id-", i)
				if _, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, c)); err != nil {
					t.Fatal(err)
				}
				if _, err := a.Authenticate(t.Context(), busy); err != nil || !a.cached {
					t.Fatalf("a flood of %d tokens evicted one in use: %v", i, err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
			t.Logf("%d bytes are held", held)
			if held > 1<<20*5/4 {
				t.Errorf("%d bytes are held, want up to 1 MiB", held)
			}
			runtime.KeepAlive(a)
		})
	}
}

// newKeyedAuthenticator returns one that has the keys of list.
func newKeyedAuthenticator(t *testing.T, list []keys.PublicKey, limit int) *cachedAuthenticator {
	t.Helper()
	return newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
		cfg.Keys = sourceByID(func(id string) (found []keys.PublicKey) {
			for _, key := range list {
				if id == "" || id == key.ID {
					found = append(found, key)
				}
			}
			return found
		})
		cfg.MaxSignatureChecks = limit
	})
}

// TOK-35, V18: a token without a key id costs a bounded number of signature checks,
// and only those of keys of its algorithm; the operator learns of it. One with a key
// id costs one.
func TestSignatureChecks(t *testing.T) {
	var list []keys.PublicKey
	add := func(key crypto.Signer) {
		list = append(list, keys.PublicKey{ID: must(keys.ID(key.Public())), Key: key.Public()})
	}
	add(rsaKey) // of another algorithm
	for range 63 {
		add(must(keys.Generate(keys.ES512)))
	}
	eighth, ninth := must(keys.Generate(keys.ES512)), must(keys.Generate(keys.ES512))
	list[8] = keys.PublicKey{ID: "eighth", Key: eighth.Public()}
	list[9] = keys.PublicKey{ID: "ninth", Key: ninth.Public()}
	stranger := must(keys.Generate(keys.ES512))
	tests := []struct {
		name   string
		list   []keys.PublicKey
		limit  int
		token  string
		reason tokens.Reason
		tried  int
	}{
		{"made by nobody", list, 0, tokentest.MintAs(t, stranger, "", tokentest.BoundClaims()), tokens.ReasonTooManyKeys, 8},
		{"the eighth key", list, 0, tokentest.MintAs(t, eighth, "", tokentest.BoundClaims()), "", 8},
		{"the ninth key", list, 0, tokentest.MintAs(t, ninth, "", tokentest.BoundClaims()), tokens.ReasonTooManyKeys, 8},
		{"the ninth key, by its id", list, 0, tokentest.MintAs(t, ninth, "ninth", tokentest.BoundClaims()), "", 1},
		{"the ninth key, more allowed", list, 9, tokentest.MintAs(t, ninth, "", tokentest.BoundClaims()), "", 9},
		{"another key, by the id", list, 0, tokentest.MintAs(t, stranger, "ninth", tokentest.BoundClaims()), tokens.ReasonSignature, 1},
		{"another algorithm", list, 0, tokentest.MintAs(t, ecKey, "", tokentest.BoundClaims()), tokens.ReasonSignature, 0},
		{"the only one of its algorithm", append(list[1:64:64], list[0]), 1, tokentest.MintAs(t, rsaKey, "", tokentest.BoundClaims()), "", 1},
		{"as many keys as are tried", list[:9], 0, tokentest.MintAs(t, stranger, "", tokentest.BoundClaims()), tokens.ReasonSignature, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newKeyedAuthenticator(t, tt.list, tt.limit)
			_, err := a.Authenticate(t.Context(), tt.token)
			if tt.reason == "" && err != nil {
				t.Errorf("Authenticate() = %v", err)
			} else if tt.reason != "" {
				wantInvalid(t, err, tt.reason, "")
			}
			if a.event.KeysTried != tt.tried {
				t.Errorf("%d keys were tried, want %d", a.event.KeysTried, tt.tried)
			}
			if tt.reason == tokens.ReasonTooManyKeys && (err.Error() != "tokens: invalid signature" || !strings.Contains(a.event.Detail, "8 of 64 keys tried")) {
				t.Errorf("the client learns %q, the operator %q", err, a.event.Detail)
			}
		})
	}
}

// V18: keys beyond those that are tried cost nothing.
func TestSignatureChecksCost(t *testing.T) {
	list := []keys.PublicKey{}
	for range 64 {
		key := must(keys.Generate(keys.ES256)).Public()
		list = append(list, keys.PublicKey{ID: must(keys.ID(key)), Key: key})
	}
	token := tokentest.MintAs(t, otherKey, "", tokentest.BoundClaims())
	cost := func(n int) float64 {
		a := newKeyedAuthenticator(t, list[:n], 0)
		return testing.AllocsPerRun(5, func() { _, _ = a.Authenticate(t.Context(), token) })
	}
	if few, many := cost(9), cost(64); many > few*1.2+10 {
		t.Errorf("a token costs %v allocations with 64 keys and %v with 9, want about the same", many, few)
	}
}
