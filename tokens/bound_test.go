package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func jsonMarshal(v any) ([]byte, error) { return json.Marshal(v) }

// TOK-38, TOK-66, TOK-67, J21, J23, V01, V03, V04
func TestBoundClaims(t *testing.T) {
	set := func(name string, value any) func(object) { return func(c object) { c[name] = value } }
	unset := func(name string) func(object) { return func(c object) { delete(c, name) } }
	setPrivate := func(name string, value any) func(object) { return func(c object) { private(c)[name] = value } }
	number := func(text string) json.RawMessage { return json.RawMessage(text) }

	tests := []struct {
		name   string
		change func(object)
		reason tokens.Reason
		what   string
	}{
		{"good", func(object) {}, "", ""},
		{"no nbf, iat and jti", func(c object) { delete(c, "nbf"); delete(c, "iat"); delete(c, "jti") }, "", ""},
		{"unknown claims", func(c object) { c["x"] = 1; private(c)["x"] = 1; private(c)["pod"].(object)["x"] = 1 }, "", ""},
		{"no exp", unset("exp"), tokens.ReasonMissingClaim, "exp"},
		{"exp null", set("exp", nil), tokens.ReasonInvalidClaim, "exp"},
		{"exp text", set("exp", "17e8"), tokens.ReasonInvalidClaim, "exp"},
		{"exp true", set("exp", true), tokens.ReasonInvalidClaim, "exp"},
		{"exp 1.5", set("exp", number("1767272400.5")), tokens.ReasonInvalidClaim, "exp"},
		{"exp -1", set("exp", -1), tokens.ReasonInvalidClaim, "exp"},
		{"exp 1e300", set("exp", number("1e300")), tokens.ReasonInvalidClaim, "exp"},
		{"exp 1e400", set("exp", number("1e400")), tokens.ReasonInvalidClaim, "exp"},
		{"exp 2^63-1", set("exp", math.MaxInt64), tokens.ReasonInvalidClaim, "exp"},
		{"exp after the year 9999", set("exp", 253402300800), tokens.ReasonInvalidClaim, "exp"},
		{"exp at the end of the year 9999", set("exp", 253402300799), "", ""},
		{"exp with a fraction", set("exp", number("1767300000.5")), tokens.ReasonInvalidClaim, "exp"},
		{"nbf 2^63-1", set("nbf", math.MaxInt64), tokens.ReasonInvalidClaim, "nbf"},
		{"nbf 1e300", set("nbf", number("1e300")), tokens.ReasonInvalidClaim, "nbf"},
		{"iat null", set("iat", nil), tokens.ReasonInvalidClaim, "iat"},
		{"jti number", set("jti", 1), tokens.ReasonInvalidClaim, "jti"},
		{"no sub", unset("sub"), tokens.ReasonMissingClaim, "sub"},
		{"sub number", set("sub", 1), tokens.ReasonInvalidClaim, "sub"},
		{"sub of another account", set("sub", "system:serviceaccount:ci:other"), tokens.ReasonInvalidClaim, "sub"},
		{"sub of another namespace", set("sub", "system:serviceaccount:other:builder"), tokens.ReasonInvalidClaim, "sub"},
		{"sub with NUL", set("sub", "system:serviceaccount:ci:builder\x00"), tokens.ReasonInvalidClaim, "sub"},
		{"no private claims", unset("kubernetes.io"), tokens.ReasonMissingClaim, "kubernetes.io"},
		{"private claims null", set("kubernetes.io", nil), tokens.ReasonInvalidClaim, "kubernetes.io"},
		{"private claims a list", set("kubernetes.io", []int{}), tokens.ReasonInvalidClaim, "kubernetes.io"},
		{"legacy claim", set("kubernetes.io/serviceaccount/secret.name", "x"), tokens.ReasonInvalidClaim, "kubernetes.io/serviceaccount/secret.name"},
		{"no namespace", func(c object) { delete(private(c), "namespace") }, tokens.ReasonMissingClaim, "namespace"},
		{"namespace empty", setPrivate("namespace", ""), tokens.ReasonMissingClaim, "namespace"},
		{"namespace number", setPrivate("namespace", 1), tokens.ReasonInvalidClaim, "namespace"},
		{"namespace with NUL", func(c object) { private(c)["namespace"] = "ci\x00"; c["sub"] = "system:serviceaccount:ci\x00:builder" }, tokens.ReasonInvalidClaim, "serviceaccount"},
		{"name with colon", func(c object) {
			private(c)["serviceaccount"].(object)["name"] = "a:b"
			c["sub"] = "system:serviceaccount:ci:a:b"
		}, tokens.ReasonInvalidClaim, "serviceaccount"},
		{"no account", func(c object) { delete(private(c), "serviceaccount") }, tokens.ReasonMissingClaim, "serviceaccount"},
		{"account null", setPrivate("serviceaccount", nil), tokens.ReasonInvalidClaim, "serviceaccount"},
		{"account without name", setPrivate("serviceaccount", object{"uid": "x"}), tokens.ReasonInvalidClaim, "serviceaccount"},
		{"account without UID", setPrivate("serviceaccount", object{"name": "builder"}), tokens.ReasonMissingClaim, "serviceaccount"},
		{"account with empty UID", setPrivate("serviceaccount", object{"name": "builder", "uid": ""}), tokens.ReasonMissingClaim, "serviceaccount"},
		{"account UID number", setPrivate("serviceaccount", object{"name": "builder", "uid": 1}), tokens.ReasonInvalidClaim, "serviceaccount"},
		{"pod null", setPrivate("pod", nil), tokens.ReasonInvalidClaim, "pod"},
		{"pod without name", setPrivate("pod", object{"uid": "x"}), tokens.ReasonInvalidClaim, "pod"},
		{"pod text", setPrivate("pod", "job"), tokens.ReasonInvalidClaim, "pod"},
		{"secret null", setPrivate("secret", nil), tokens.ReasonInvalidClaim, "secret"},
		{"node list", setPrivate("node", []int{}), tokens.ReasonInvalidClaim, "node"},
		{"pod and secret", setPrivate("secret", object{"name": "settings", "uid": "uid-of-settings"}), tokens.ReasonInvalidClaim, "kubernetes.io"},
		{"pod and webhook", setPrivate("validatingwebhookconfiguration", object{"name": "x", "uid": "x"}), tokens.ReasonInvalidClaim, "kubernetes.io"},
		{"webhook null", setPrivate("mutatingwebhookconfiguration", nil), tokens.ReasonInvalidClaim, "mutatingwebhookconfiguration"},
		{"attestations list", setPrivate("attestations", []int{}), tokens.ReasonInvalidClaim, "attestations"},
		{"attestation text", setPrivate("attestations", object{"a": "b"}), tokens.ReasonInvalidClaim, "attestations"},
		{"attestation number", setPrivate("attestations", object{"a": []int{1}}), tokens.ReasonInvalidClaim, "attestations"},
		{"warnafter text", setPrivate("warnafter", "1"), tokens.ReasonInvalidClaim, "warnafter"},
		{"warnafter passed", setPrivate("warnafter", 1), "", ""},
	}
	w := tokentest.NewWorld()
	a := tokentest.NewAuthenticator(t, w, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := tokentest.BoundClaims()
			tt.change(claims)
			w.Lookups = 0
			_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantInvalid(t, err, tt.reason, tt.what)
			if w.Lookups != 0 {
				t.Errorf("%d lookups, want none", w.Lookups)
			}
		})
	}
}

// TOK-65, J24, J25: each bound is inclusive.
func TestTimes(t *testing.T) {
	tests := []struct {
		name   string
		leeway time.Duration
		claim  string
		offset time.Duration // of the claim from now
		reason tokens.Reason
	}{
		{"exp at the end of the leeway", 0, "exp", -60 * time.Second, ""},
		{"exp after the leeway", 0, "exp", -61 * time.Second, tokens.ReasonExpired},
		{"exp now, no leeway", -1, "exp", 0, ""},
		{"exp a second ago, no leeway", -1, "exp", -time.Second, tokens.ReasonExpired},
		{"exp at the end of 5 s", 5 * time.Second, "exp", -5 * time.Second, ""},
		{"exp after 5 s", 5 * time.Second, "exp", -6 * time.Second, tokens.ReasonExpired},
		{"nbf at the end of the leeway", 0, "nbf", 60 * time.Second, ""},
		{"nbf after the leeway", 0, "nbf", 61 * time.Second, tokens.ReasonNotYetValid},
		{"nbf now, no leeway", -1, "nbf", 0, ""},
		{"nbf in a second, no leeway", -1, "nbf", time.Second, tokens.ReasonNotYetValid},
		{"iat at the end of the leeway", 0, "iat", 60 * time.Second, ""},
		{"iat after the leeway", 0, "iat", 61 * time.Second, tokens.ReasonIssuedInFuture},
		{"iat in two minutes", 0, "iat", 2 * time.Minute, tokens.ReasonIssuedInFuture},
		{"iat in a second, no leeway", -1, "iat", time.Second, tokens.ReasonIssuedInFuture},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := tokentest.BoundClaims()
			claims[tt.claim] = now.Add(tt.offset).Unix()
			w := tokentest.NewWorld()
			a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.Leeway, cfg.NoLeeway = max(tt.leeway, 0), tt.leeway < 0 })
			_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantInvalid(t, err, tt.reason, "")
			if w.Lookups != 0 {
				t.Errorf("%d lookups for a token that doesn't hold, want none", w.Lookups)
			}
		})
	}

	// The order of the checks.
	claims := tokentest.BoundClaims()
	claims["nbf"], claims["exp"], claims["iat"] = now.Unix()+100, now.Unix()-100, now.Unix()+100
	a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil)
	for _, reason := range []tokens.Reason{tokens.ReasonNotYetValid, tokens.ReasonExpired, tokens.ReasonIssuedInFuture} {
		_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
		wantInvalid(t, err, reason, "")
		switch reason {
		case tokens.ReasonNotYetValid:
			delete(claims, "nbf")
		case tokens.ReasonExpired:
			claims["exp"] = now.Unix()
		}
	}
}

// A dependency is an object that a bound token depends on.
type dependency struct {
	kind   string
	bind   func(object) // binds boundClaims to it
	meta   func(*tokentest.World) *metav1.ObjectMeta
	remove func(*tokentest.World)
	forget func(*tokens.AuthenticatorConfig)
}

var dependencies = []dependency{
	{
		kind:   "ServiceAccount",
		bind:   func(object) {},
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Accounts["ci/builder"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Accounts, "ci/builder") },
	},
	{
		kind:   "Secret",
		bind:   func(c object) { bind(c, "secret", "settings") },
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Secrets["ci/settings"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Secrets, "ci/settings") },
		forget: func(cfg *tokens.AuthenticatorConfig) { cfg.Secrets, cfg.Legacy = nil, false },
	},
	{
		kind:   "Pod",
		bind:   func(c object) { bind(c, "pod", "job") },
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Pods["ci/job"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Pods, "ci/job") },
		forget: func(cfg *tokens.AuthenticatorConfig) { cfg.Pods = nil },
	},
	{
		kind:   "Node",
		bind:   func(c object) { bind(c, "node", "worker") },
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Nodes["worker"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Nodes, "worker") },
		forget: func(cfg *tokens.AuthenticatorConfig) { cfg.Nodes = nil },
	},
	{
		kind:   "ValidatingWebhookConfiguration",
		bind:   func(c object) { bind(c, "validatingwebhookconfiguration", "checks") },
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Validating["checks"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Validating, "checks") },
		forget: func(cfg *tokens.AuthenticatorConfig) { cfg.Webhooks = nil },
	},
	{
		kind:   "MutatingWebhookConfiguration",
		bind:   func(c object) { bind(c, "mutatingwebhookconfiguration", "defaults") },
		meta:   func(w *tokentest.World) *metav1.ObjectMeta { return &w.Mutating["defaults"].ObjectMeta },
		remove: func(w *tokentest.World) { delete(w.Mutating, "defaults") },
		forget: func(cfg *tokens.AuthenticatorConfig) { cfg.Webhooks = nil },
	},
}

func bind(claims object, kind, name string) {
	delete(private(claims), "pod")
	delete(private(claims), "node")
	private(claims)[kind] = object{"name": name, "uid": "uid-of-" + name}
	private(claims)["attestations"] = object{tokens.AttestedAPIGroups: []string{"apps"}}
}

// TOK-68..78, V10, V11, V12, V14
func TestBoundObjects(t *testing.T) {
	deleted := func(after time.Duration) func(*tokentest.World, dependency) {
		return func(w *tokentest.World, d dependency) {
			d.meta(w).DeletionTimestamp = &metav1.Time{Time: now.Add(after)}
			d.meta(w).Finalizers = []string{"example.com/keep"}
		}
	}
	down := errors.New("etcd is down")
	tests := []struct {
		name   string
		change func(*tokentest.World, dependency)
		reason tokens.Reason
	}{
		{"there", func(*tokentest.World, dependency) {}, ""},
		{"missing", func(w *tokentest.World, d dependency) { d.remove(w) }, tokens.ReasonNotFound},
		{"recreated", func(w *tokentest.World, d dependency) { d.meta(w).UID = "another" }, tokens.ReasonRecreated},
		{"deleted in a second", deleted(time.Second), ""},
		{"deleted now", deleted(0), ""},
		{"deleted a second ago", deleted(-time.Second), ""},
		{"deleted 59 s ago", deleted(-59 * time.Second), ""},
		{"deleted 60 s ago", deleted(-60 * time.Second), ""},
		{"deleted 61 s ago", deleted(-61 * time.Second), tokens.ReasonDeleted},
		{"kept by a finalizer for days", deleted(-72 * time.Hour), tokens.ReasonDeleted},
		{"recreated and deleted", func(w *tokentest.World, d dependency) { deleted(-time.Hour)(w, d); d.meta(w).UID = "another" }, tokens.ReasonRecreated},
		{"not to be looked up", func(w *tokentest.World, _ dependency) { w.Err = down }, tokens.ReasonUnavailable},
	}
	for _, d := range dependencies {
		for _, tt := range tests {
			t.Run(d.kind+" "+tt.name, func(t *testing.T) {
				w := tokentest.NewWorld()
				a := tokentest.NewAuthenticator(t, w, nil)
				claims := tokentest.BoundClaims()
				d.bind(claims)
				token := tokentest.Mint(t, ecKey, claims)
				tt.change(w, d)
				_, err := a.Authenticate(t.Context(), token)
				switch tt.reason {
				case "":
					if err != nil {
						t.Fatal(err)
					}
				case tokens.ReasonUnavailable:
					if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !errors.Is(err, down) {
						t.Fatalf("Authenticate() = %v, want an UnavailableError", err)
					}
				default:
					wantInvalid(t, err, tt.reason, d.kind)
				}
			})
		}
		if d.forget == nil {
			continue
		}
		// TOK-63, TOK-75
		t.Run(d.kind+" without a getter", func(t *testing.T) {
			claims := tokentest.BoundClaims()
			d.bind(claims)
			_, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), d.forget).Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
			wantInvalid(t, err, tokens.ReasonUnsupported, d.kind)
		})
	}
}

// V19: the text is the same however an object is gone.
func TestGoneTexts(t *testing.T) {
	for _, kind := range []string{"ServiceAccount", "Secret", "Pod", "Node"} {
		want := "tokens: service account token has been invalidated: its " + kind + " is gone"
		for _, reason := range []tokens.Reason{tokens.ReasonNotFound, tokens.ReasonRecreated, tokens.ReasonDeleted} {
			if got := (&tokens.InvalidError{Reason: reason, Subject: kind}).Error(); got != want {
				t.Errorf("the text of %s is %q, want %q", reason, got, want)
			}
		}
	}
}

// TOK-73: beside a pod, the node is information.
func TestNodeBesidePod(t *testing.T) {
	w := tokentest.NewWorld()
	delete(w.Nodes, "worker")
	id, err := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.Nodes = nil }).Authenticate(t.Context(), tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
	if err != nil {
		t.Fatal(err)
	}
	if id.Node != (tokens.ObjectRef{Name: "worker", UID: "uid-of-worker"}) {
		t.Errorf("Node = %v, want what the token says", id.Node)
	}
}

// TOK-76
func TestWebhookWithoutAttestation(t *testing.T) {
	for _, attestations := range []any{nil, object{}, object{tokens.AttestedAPIGroups: []string{}}, object{"other": []string{"x"}}} {
		claims := tokentest.BoundClaims()
		bind(claims, "validatingwebhookconfiguration", "checks")
		private(claims)["attestations"] = attestations
		if attestations == nil {
			delete(private(claims), "attestations")
		}
		_, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
		wantInvalid(t, err, tokens.ReasonMissingClaim, "attestations")
	}
}

// TOK-54, V14
func TestSkipLookups(t *testing.T) {
	w := tokentest.NewWorld()
	a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) {
		cfg.Lookups = tokens.LookupNothing
		cfg.ServiceAccounts, cfg.Secrets, cfg.Pods, cfg.Nodes = nil, nil, nil, nil
	})
	for _, claims := range []object{tokentest.BoundClaims(), tokentest.LegacyClaims()} {
		if _, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims)); err != nil {
			t.Error(err)
		}
	}
	expired := tokentest.BoundClaims()
	expired["exp"] = now.Unix() - 61
	_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, expired))
	wantInvalid(t, err, tokens.ReasonExpired, "")
}

// A getter that breaks its contract doesn't break the authenticator.
func TestGetterReturnsNothing(t *testing.T) {
	w := tokentest.NewWorld()
	w.Accounts["ci/builder"] = nil
	nilError := tokentest.AccountFunc(func(context.Context) (*corev1.ServiceAccount, error) { return nil, (*apierrors.StatusError)(nil) })
	for _, accounts := range []tokens.ServiceAccountGetter{w, nilError} {
		a := tokentest.NewAuthenticator(t, w, func(cfg *tokens.AuthenticatorConfig) { cfg.ServiceAccounts = accounts })
		_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, tokentest.BoundClaims()))
		if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !strings.Contains(e.Error(), "neither an object nor an error") {
			t.Errorf("Authenticate() = %v, want an UnavailableError", err)
		}
	}
}
