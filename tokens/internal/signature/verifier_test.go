package signature_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/internal/signature"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// longest is the length of the longest token that is read.
const longest = 16 << 10

func idOf(key crypto.Signer) string { return tokentest.Must(keys.ID(key.Public())) }

// A source counts how often it is asked.
type source struct {
	keys.Source
	asked int
}

func (s *source) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	s.asked++
	return s.Source.PublicKeys(ctx, id)
}

func goodKeys() keys.Source { return tokentest.Must(keys.NewSet(tokentest.ECKey, tokentest.RSAKey)) }

func config() signature.Config {
	return signature.Config{Issuers: []string{tokentest.IssuerURL, "https://old.example"}, Keys: goodKeys(), MaxChecks: 8, CacheBytes: 1 << 20}
}

// claims returns good claims, changed by change.
func claims(change func(map[string]any)) map[string]any {
	c := tokentest.BoundClaims()
	change(c)
	return c
}

// TOK-30..39: the problem, what the operator learns of it, and what it costs.
func TestVerify(t *testing.T) {
	bound := tokentest.BoundClaims()
	good := tokentest.Mint(t, tokentest.ECKey, bound)
	foreign := func(change func(map[string]any)) string { return tokentest.Mint(t, tokentest.ECKey, claims(change)) }
	other := tokentest.OtherKey
	var many []keys.PublicKey
	for range 3 {
		key := tokentest.Must(keys.Generate(keys.ES256)).Public()
		many = append(many, keys.PublicKey{ID: tokentest.Must(keys.ID(key)), Key: key})
	}
	for _, tt := range []struct {
		name    string
		change  func(*signature.Config)
		token   string
		problem signature.Problem
		detail  string // part of the error, empty for none
		tried   int
	}{
		{name: "good", token: good, tried: 1},
		{name: "no cache", token: good, change: func(cfg *signature.Config) { cfg.CacheBytes = 0 }, tried: 1},
		{name: "another issuer of ours", token: foreign(func(c map[string]any) { c["iss"] = "https://old.example" }), tried: 1},
		{name: "without a key id", token: tokentest.MintAs(t, tokentest.ECKey, "", bound), tried: 1},
		{name: "no token", token: "a.b", problem: signature.Malformed, detail: "jose: "},
		{name: "too long", token: strings.Repeat("a", longest+1), problem: signature.Malformed, detail: "too long"},
		{name: "foreign issuer", token: foreign(func(c map[string]any) { c["iss"] = "https://elsewhere" }), problem: signature.ForeignIssuer,
			detail: `issuer "https://elsewhere", want one of ["https://kubernetes.default.svc" "https://old.example"]`},
		{name: "no issuer", token: foreign(func(c map[string]any) { delete(c, "iss") }), problem: signature.ForeignIssuer, detail: `issuer "", want`},
		{name: "no text as issuer", token: foreign(func(c map[string]any) { c["iss"] = []string{tokentest.IssuerURL} }), problem: signature.ForeignIssuer, detail: `issuer "", want`},
		{name: "Secret-based", token: tokentest.Mint(t, tokentest.ECKey, tokentest.LegacyClaims()), change: func(cfg *signature.Config) { cfg.Legacy = true }, tried: 1},
		{name: "Secret-based, not accepted", token: tokentest.Mint(t, tokentest.ECKey, tokentest.LegacyClaims()), problem: signature.ForeignIssuer, detail: `issuer "kubernetes/serviceaccount", want`},
		{name: "bound, Secret-based ones too", token: good, change: func(cfg *signature.Config) { cfg.Legacy = true }, tried: 1},
		{name: "unknown key", token: tokentest.Mint(t, other, bound), problem: signature.UnknownKey, detail: fmt.Sprintf("no key with the id %.64q", idOf(other))},
		{name: "another key", token: tokentest.MintAs(t, other, idOf(tokentest.ECKey), bound), problem: signature.BadSignature,
			detail: fmt.Sprintf(`algorithm "ES256", key id %q, 1 of 1 keys tried, the last one: jose: `, idOf(tokentest.ECKey)), tried: 1},
		{name: "a key of another algorithm", token: tokentest.MintAs(t, other, idOf(tokentest.RSAKey), bound), problem: signature.BadSignature, detail: "0 of 1 keys tried"},
		{name: "as many keys as are tried", token: tokentest.MintAs(t, other, "", bound), change: func(cfg *signature.Config) {
			cfg.Keys, cfg.MaxChecks = tokentest.SourceFunc(func() []keys.PublicKey { return many }), 3
		}, problem: signature.BadSignature, detail: "3 of 3 keys tried", tried: 3},
		{name: "one key too many", token: tokentest.MintAs(t, other, "", bound), change: func(cfg *signature.Config) {
			cfg.Keys, cfg.MaxChecks = tokentest.SourceFunc(func() []keys.PublicKey { return many }), 2
		}, problem: signature.TooManyKeys, detail: "2 of 3 keys tried", tried: 2},
		{name: "one key too many, of another algorithm", token: tokentest.MintAs(t, other, "", bound), change: func(cfg *signature.Config) {
			rsa := keys.PublicKey{ID: idOf(tokentest.RSAKey), Key: tokentest.RSAKey.Public()}
			cfg.Keys, cfg.MaxChecks = tokentest.SourceFunc(func() []keys.PublicKey { return append(many[:2:2], rsa) }), 2
		}, problem: signature.BadSignature, detail: "2 of 3 keys tried", tried: 2},
		{name: "no keys", token: good, change: func(cfg *signature.Config) { cfg.Keys = tokentest.FailingSource{} }, problem: signature.Keys, detail: "no connection"},
		{name: "a claim is missing", token: foreign(func(c map[string]any) { delete(c, "exp") }), problem: signature.Claim, detail: `claim "exp" is missing`, tried: 1},
		{name: "a claim before the issuer is invalid", token: foreign(func(c map[string]any) { c["exp"] = "soon" }), problem: signature.Claim, detail: `claim "exp" is invalid`, tried: 1},
		{name: "a claim after the issuer is invalid", token: foreign(func(c map[string]any) { c["nbf"] = "soon" }), problem: signature.Claim, detail: `claim "nbf" is invalid`, tried: 1},
		{name: "an invalid claim under another's signature", token: tokentest.MintAs(t, other, idOf(tokentest.ECKey), claims(func(c map[string]any) { c["exp"] = "soon" })),
			problem: signature.BadSignature, detail: "keys tried", tried: 1},
		{name: "no cluster", token: good, change: func(cfg *signature.Config) { cfg.Cluster = "clusterName" }, problem: signature.Claim, detail: `claim "clusterName" is missing`, tried: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config()
			if tt.change != nil {
				tt.change(&cfg)
			}
			v := signature.New(cfg)
			r, err := v.Verify(t.Context(), tt.token)
			if r.KeysTried != tt.tried || r.Cached {
				t.Errorf("Verify() tried %d keys, cached %t; want %d, false", r.KeysTried, r.Cached, tt.tried)
			}
			if tt.detail == "" {
				if err != nil || r.Claims == nil || r.Claims.Account != (payload.Ref{Name: "builder", UID: "uid-of-builder"}) || r.Claims.Issuer == "" {
					t.Fatalf("Verify() = %+v, %v, want the claims", r, err)
				}
				again, err := v.Verify(t.Context(), tt.token)
				if cached := cfg.CacheBytes > 0; err != nil || again.Cached != cached || cached && again.KeysTried != 0 {
					t.Errorf("Verify() again = %+v, %v, want it remembered: %t", again, err, cached)
				}
				if diff := cmp.Diff(r.Claims, again.Claims, cmp.AllowUnexported(payload.Claims{})); diff != "" {
					t.Errorf("claims that are remembered (-want +got):\n%s", diff)
				}
				return
			}
			if err == nil || err.Problem != tt.problem || !strings.Contains(err.Error(), tt.detail) || r.Claims != nil {
				t.Fatalf("Verify() = %+v, %v, want the problem %d, %q and no claims", r, err, tt.problem, tt.detail)
			}
			if _, again := v.Verify(t.Context(), tt.token); again == nil || again.Error() != err.Error() {
				t.Errorf("Verify() again = %v, want the same error", again)
			}
		})
	}
}

// A token of the greatest length is read and remembered; a longer one is neither read nor
// hashed, nor is any without a cache.
func TestLongestToken(t *testing.T) {
	v := signature.New(config())
	text := ""
	for n := 11_000; len(text) != longest; n++ {
		text = tokentest.MintAs(t, tokentest.ECKey, "", claims(func(c map[string]any) { c["padding"] = strings.Repeat("x", n) }))
		if len(text) > longest {
			t.Fatalf("no token of %d bytes", longest)
		}
	}
	for i := range 2 {
		if r, err := v.Verify(t.Context(), text); err != nil || r.Cached != (i == 1) {
			t.Errorf("Verify() of %d bytes = %+v, %v, want it remembered: %t", len(text), r, err, i == 1)
		}
	}
	allocations := func(v *signature.Verifier, text string) float64 {
		return testing.AllocsPerRun(5, func() { _, _ = v.Verify(t.Context(), text) })
	}
	cfg := config()
	cfg.CacheBytes = 0
	uncached := signature.New(cfg)
	if with, without := allocations(v, strings.Repeat("a", 1<<20)), allocations(uncached, strings.Repeat("a", 1<<20)); with != without {
		t.Errorf("a token of 1 MiB costs %v allocations, and %v without a cache, want as many", with, without)
	}
	foreign := tokentest.Mint(t, tokentest.ECKey, claims(func(c map[string]any) { c["iss"] = strings.Repeat("x", 2000) }))
	if with, without := allocations(v, foreign), allocations(uncached, foreign); without >= with {
		t.Errorf("a long token costs %v allocations, and %v without a cache, want fewer", with, without)
	}
}

// V13, V18: a signature that is remembered counts while the very key that made it is there.
func TestRemembersWithTheKey(t *testing.T) {
	cfg := config()
	asked := &source{Source: cfg.Keys}
	cfg.Keys = asked
	v := signature.New(cfg)
	named, nameless := tokentest.Mint(t, tokentest.ECKey, tokentest.BoundClaims()), tokentest.MintAs(t, tokentest.RSAKey, "", tokentest.BoundClaims())
	verify := func(token string) (signature.Result, *signature.Error) { return v.Verify(t.Context(), token) }
	for range 2 {
		for _, token := range []string{named, nameless} {
			if _, err := verify(token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked.asked != 4 {
		t.Errorf("4 calls ask for keys %d times, want 4", asked.asked)
	}
	// Without it.
	asked.Source = tokentest.SourceFunc(func() []keys.PublicKey { return nil })
	if r, err := verify(named); err == nil || err.Problem != signature.UnknownKey || r.Claims != nil {
		t.Errorf("without the key: %+v, %v, want UnknownKey", r, err)
	}
	// Another one of its name.
	asked.Source = tokentest.SourceFunc(func() []keys.PublicKey {
		return []keys.PublicKey{{ID: idOf(tokentest.ECKey), Key: tokentest.OtherKey.Public()}}
	})
	if r, err := verify(named); err == nil || err.Problem != signature.BadSignature || r.Claims != nil {
		t.Errorf("with another key: %+v, %v, want BadSignature", r, err)
	}
	// A source that fails is asked once.
	asked.Source, asked.asked = tokentest.FailingSource{}, 0
	if r, err := verify(named); err == nil || err.Problem != signature.Keys || err.Err == nil || r.Claims != nil || asked.asked != 1 {
		t.Errorf("when keys can't be had: %+v, %v after asking %d times, want Keys after one", r, err, asked.asked)
	}
	asked.Source = goodKeys()
	for _, token := range []string{named, nameless} {
		if r, err := verify(token); err != nil || !r.Cached {
			t.Errorf("when the very keys are back: %+v, %v, want the signature to be remembered", r, err)
		}
	}
	equal := tokentest.Must(x509.ParsePKIXPublicKey(tokentest.Must(x509.MarshalPKIXPublicKey(tokentest.ECKey.Public()))))
	asked.Source = tokentest.SourceFunc(func() []keys.PublicKey {
		return []keys.PublicKey{{Key: equal}}
	})
	if r, err := verify(named); err != nil || r.Cached {
		t.Errorf("with an equal key, but another value: %+v, %v, want the signature to be checked again", r, err)
	}
}

// Long key ids count as memory: no more signatures are remembered than there is room for.
func TestMemoryOfKeyIDs(t *testing.T) {
	cfg := config()
	cfg.CacheBytes = 64 << 10
	cfg.Keys = tokentest.SourceFunc(func() []keys.PublicKey { return []keys.PublicKey{{Key: tokentest.ECKey.Public()}} })
	remembered := func(id string) (n int) {
		v := signature.New(cfg)
		texts := make([]string, 100)
		for i := range texts {
			texts[i] = tokentest.MintAs(t, tokentest.ECKey, id, claims(func(c map[string]any) { c["jti"] = fmt.Sprint("id-", i) }))
			if _, err := v.Verify(t.Context(), texts[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range slices.Backward(texts) { // the last ones are remembered
			if r, err := v.Verify(t.Context(), text); err != nil || !r.Cached {
				break
			}
			n++
		}
		return n
	}
	short, long := remembered("k"), remembered(strings.Repeat("k", 1000))
	if long == 0 || long > 64 || short < 2*long*9/10 {
		t.Errorf("%d signatures with short key ids are remembered and %d with ids of 1,000 bytes, want up to 64, and half as many or fewer", short, long)
	}
}

// The error of a key source stays what it is.
func TestErrorOfTheSource(t *testing.T) {
	failure := errors.New("down")
	cfg := config()
	cfg.Keys = failing{failure}
	if _, err := signature.New(cfg).Verify(t.Context(), tokentest.Mint(t, tokentest.ECKey, tokentest.BoundClaims())); err == nil || err.Err != failure {
		t.Errorf("Verify() = %v, want %v", err, failure)
	}
}

type failing struct{ err error }

func (f failing) PublicKeys(context.Context, string) ([]keys.PublicKey, error) { return nil, f.err }
