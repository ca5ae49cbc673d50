package inspect_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestExplain(t *testing.T) {
	bound := func(change func(map[string]any)) map[string]any {
		c := tokentest.BoundClaims()
		change(c)
		return c
	}
	token := tokentest.Mint(t, tokentest.ECKey, tokentest.BoundClaims())
	legacy := tokentest.Mint(t, tokentest.ECKey, tokentest.LegacyClaims())
	tests := []struct {
		name      string
		token     string
		change    func(*tokentest.World)
		outcome   tokens.Result
		signature inspect.SignatureState
		want      []string
	}{
		{"accepted", token, nil, tokens.ResultAccepted, inspect.SignatureValid, []string{
			"token:     accepted\n", "username:  system:serviceaccount:ci:builder\n", "uid:       uid-of-builder\n",
			"groups:    system:serviceaccounts, system:serviceaccounts:ci\n", "made with: ES256, key id ", "audiences: api\n", "claims:    what the token says of itself\n",
			"  exp = 1767272400 (2026-01-01T13:00:00Z, in 1h0m0s)\n", "  iat = 1767268800 (2026-01-01T12:00:00Z, now)\n",
			`  sub = "system:serviceaccount:ci:builder"` + "\n", `  kubernetes.io = {"namespace":"ci"`,
		}},
		{"pod gone", token, func(w *tokentest.World) { delete(w.Pods, "ci/job") }, tokens.ResultRejected, inspect.SignatureValid, []string{
			"token:     rejected\n", "because:   service account token has been invalidated: its Pod is gone\n", "reason:    NotFound Pod\n",
			`found:     pods "job" not found`, "what helps: get a new token for what is there now",
		}},
		{"pod made anew", token, func(w *tokentest.World) { w.Pods["ci/job"].UID = "another" }, tokens.ResultRejected, inspect.SignatureValid, []string{
			"reason:    Recreated Pod\n", "has UID another", "the token says UID uid-of-job",
		}},
		{"expired", tokentest.Mint(t, tokentest.ECKey, bound(func(c map[string]any) { c["exp"] = tokentest.Now.Unix() - 120 })), nil, tokens.ResultRejected, inspect.SignatureValid, []string{
			"reason:    Expired\n", "2m0s ago)",
		}},
		{"other key", tokentest.MintAs(t, tokentest.OtherKey, tokentest.Must(keys.ID(tokentest.ECKey.Public())), tokentest.BoundClaims()), nil, tokens.ResultRejected, inspect.SignatureInvalid, []string{"reason:    Signature\n", "signature: Invalid\n"}},
		{"unknown key", tokentest.Mint(t, tokentest.OtherKey, tokentest.BoundClaims()), nil, tokens.ResultRejected, inspect.SignatureInvalid, []string{"reason:    UnknownKey\n"}},
		{"claim missing", tokentest.Mint(t, tokentest.ECKey, bound(func(c map[string]any) { delete(c, "aud") })), nil, tokens.ResultRejected, inspect.SignatureValid, []string{"reason:    MissingClaim aud\n"}},
		{"claim invalid", tokentest.Mint(t, tokentest.ECKey, bound(func(c map[string]any) { c["exp"] = "x" })), nil, tokens.ResultRejected, inspect.SignatureValid, []string{
			"reason:    InvalidClaim exp\n", "  exp = \"x\"\n",
		}},
		{"stale", tokentest.Mint(t, tokentest.ECKey, bound(func(c map[string]any) { c["kubernetes.io"].(map[string]any)["warnafter"] = tokentest.Now.Unix() - 90 })), nil, tokens.ResultAccepted, inspect.SignatureValid, []string{
			"stale:     a newer token should have been read 1m30s ago",
		}},
		{"Secret-based, generated", legacy, func(w *tokentest.World) {
			w.Secrets["ci/builder-token"].Data["token"] = []byte(legacy)
			w.Accounts["ci/builder"].Secrets = []corev1.ObjectReference{{Name: "builder-token"}}
		}, tokens.ResultAccepted, inspect.SignatureValid, []string{"warning:   Use tokens from the TokenRequest API"}},
		{"one claim", strings.Join([]string{encoded(`{"alg":"ES256"}`), encoded(`{"iss":"x"}`), encoded(strings.Repeat("x", 64))}, "."), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{
			"claims:    what the token says of itself\n  iss = \"x\"\n",
		}},
		{"another's", tokentest.Mint(t, tokentest.OtherKey, bound(func(c map[string]any) { c["iss"] = "https://elsewhere" })), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{
			"token:     not recognized\n", "reason:    ForeignIssuer\n", `found:     issuer "https://elsewhere", want one of`,
		}},
		{"no token", "Pa55word", nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"reason:    Malformed\n", "signature: NotChecked\n"}},
		{"unknown header", strings.Join([]string{encoded(`{"alg":"ES256","kid":"a","x5t":"b"}`), encoded(`{}`), "AAAA"}, "."), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{
			`header: a parameter other than "alg", "kid" and "typ"`, `what helps: ask whoever issued it to authenticate it: the headers of ServiceAccount tokens have "alg", "kid" and "typ" only`,
		}},
		{"header of another type", strings.Join([]string{encoded(`{"alg":"ES256","typ":"at+jwt"}`), encoded(`{}`), "AAAA"}, "."), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"what helps: ask whoever issued it"}},
		{"payload of another kind", strings.Join([]string{encoded(`{"alg":"ES256"}`), encoded(`{"a":1,"a":2}`), "AAAA"}, "."), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{
			"payload: duplicate name", "what helps: ask whoever issued it to authenticate it: its claims",
		}},
		{"encoded twice", encoded(token), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"what helps: send the token as it was given"}},
		{"padded", strings.Replace(token, ".", "=.", 1), nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"what helps: send the token as it was given"}},
		{"header cut", token[1:], nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"what helps: "}},
		{"header that is not canonical", "eyJhbGciOiJFUzI1NiJ9A" + token[strings.Index(token, "."):], nil, tokens.ResultNotRecognized, inspect.SignatureNotChecked, []string{"what helps: send the token as it was given"}},
		{"down", token, func(w *tokentest.World) { w.Err = errors.New("etcd is down") }, tokens.ResultUnavailable, inspect.SignatureValid, []string{
			"token:     unavailable\n", "etcd is down", "what helps: try again",
		}},
		{"unknown and odd claims", tokentest.Mint(t, tokentest.ECKey, bound(func(c map[string]any) {
			c["password"] = "hunter2"
			c["jti"] = "\x1b[31m\u202e" + strings.Repeat("x", 1000)
			c["\x1bname"] = 1
		})), nil, tokens.ResultAccepted, inspect.SignatureValid, []string{"  password = …\n", "…\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tokentest.NewWorld()
			if tt.change != nil {
				tt.change(w)
			}
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
				cfg.Observe = func(_ context.Context, _ tokens.Event) { t.Error("Observe was told") }
			})
			e := inspect.Explain(t.Context(), a, tt.token)
			text := e.String()
			if e.Result != tt.outcome || e.Signature != tt.signature {
				t.Errorf("got %s and the signature %s, want %s and %s", e.Result, e.Signature, tt.outcome, tt.signature)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			if e.Detail != "" && e.Detail == e.Err.Error() && strings.Contains(text, "found: ") {
				t.Errorf("it tells the error twice:\n%s", text)
			}
			all := text + fmt.Sprintf("%v %+v %#v", e, e, e) + string(tokentest.Must(json.Marshal(e)))
			parts := strings.Split(tt.token, ".")
			for _, secret := range append(parts[max(0, len(parts)-2):], "hunter2", tt.token) {
				if strings.Contains(all, secret) {
					t.Errorf("it shows %q:\n%s", secret, all)
				}
			}
			for _, r := range text {
				if r != '\n' && r != '…' && (r > unicode.MaxASCII || unicode.IsControl(r)) {
					t.Errorf("it has the character %U:\n%s", r, text)
				}
			}
		})
	}
}

// V18: a signature that wasn't tried with all keys isn't said to be invalid.
func TestExplainTooManyKeys(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
		cfg.Keys, cfg.MaxSignatureChecks = tokentest.Must(keys.NewSet(tokentest.ECKey.Public(), tokentest.OtherKey.Public())), 1
	})
	e := inspect.Explain(t.Context(), a, tokentest.MintAs(t, tokentest.Must(keys.Generate(keys.ES256)), "", tokentest.BoundClaims()))
	if e.Reason != tokens.ReasonTooManyKeys || e.Signature != inspect.SignatureNotChecked {
		t.Errorf("got %s and the signature %s, want TooManyKeys and NotChecked", e.Reason, e.Signature)
	}
}

func TestExplanationOfNothing(t *testing.T) {
	if got := (inspect.Explanation{}).String(); got != "" {
		t.Errorf("String() = %q, want none", got)
	}
}

// Names and values are shown in printable ASCII, up to 256 bytes of each.
func TestExplainPrints(t *testing.T) {
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)
	for name, want := range map[string]string{
		"\x1b\x1f ~\x7f\ufffd\u00e9":    `\u001b\u001f ~\u007f?\u00e9`,
		strings.Repeat("x", 256):        strings.Repeat("x", 256),
		strings.Repeat("x", 257):        strings.Repeat("x", 256) + "…",
		strings.Repeat("x", 300) + "\n": strings.Repeat("x", 256) + "…",
	} {
		e := inspect.Explain(t.Context(), a, unsigned(string(tokentest.Must(json.Marshal(map[string]int{name: 1})))))
		if len(e.Claims) != 1 || e.Claims[0].Name != want {
			t.Errorf("the claims are %q, want the name %q", e.Claims, want)
		}
	}
}

// reasons returns the names of all constants of the type tokens.Reason, by their values.
func reasons(t *testing.T) map[tokens.Reason]string {
	t.Helper()
	all := map[tokens.Reason]string{}
	ast.Inspect(tokentest.Must(parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)), func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				all[tokens.Reason(tokentest.Must(strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)))] = spec.Names[0].Name
			}
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("%d reasons, want all: %v", len(all), all)
	}
	return all
}

// Each reason has advice of its own, and a state of the signature.
func TestAdvice(t *testing.T) {
	missing := reasons(t)
	for reason, want := range map[tokens.Reason]string{
		tokens.ReasonForeignUser: "of another user",
		tokens.ReasonMalformed:   "send the token as it was given", tokens.ReasonForeignIssuer: "ask the cluster that issued it",
		tokens.ReasonUnknownKey: "verification keys", tokens.ReasonSignature: "verification keys", tokens.ReasonTooManyKeys: "which names its key",
		tokens.ReasonMissingClaim: "TokenRequest API", tokens.ReasonInvalidClaim: "TokenRequest API", tokens.ReasonAudience: "for the audience of the server",
		tokens.ReasonNotYetValid: "clocks", tokens.ReasonIssuedInFuture: "clocks", tokens.ReasonExpired: "before it expires",
		tokens.ReasonNotFound: "for what is there now", tokens.ReasonRecreated: "for what is there now", tokens.ReasonDeleted: "for what is there now",
		tokens.ReasonUnsupported: "a getter", tokens.ReasonReplaced: "from its Secret again", tokens.ReasonSecretType: "from its Secret again",
		tokens.ReasonMarkedInvalid: "take the label away", tokens.ReasonOtherCluster: "from the cluster that it is sent to", tokens.ReasonPolicy: "AuthenticatorConfig.Policy allows",
		tokens.ReasonRefused: "what the API server logs", tokens.ReasonInvalidUser: "what the API server logs", tokens.ReasonUnavailable: "try again",
	} {
		delete(missing, reason)
		err := &tokens.InvalidError{Reason: reason}
		text := inspect.Explanation{Event: tokens.Event{Reason: reason, Err: err, Detail: err.Error()}}.String()
		_, advice, _ := strings.Cut(text, "what helps: ")
		if !strings.Contains(advice, want) {
			t.Errorf("the advice for %s is %q, want it to contain %q", reason, advice, want)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no advice is tested for %v", missing)
	}
}
