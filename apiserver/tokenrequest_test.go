package apiserver_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// A warningRecorder keeps the warnings that a client gets.
type warningRecorder struct {
	mu    sync.Mutex
	texts []string
}

func (w *warningRecorder) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warningRecorder) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// payload returns the claims of a token.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("not a token")
	}
	claims := map[string]any{}
	check(t, json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1]))(t), &claims))
	return claims
}

// A bound is an object that tokens can be bound to.
type bound struct {
	ref    authenticationv1.BoundObjectReference
	create func(*testing.T, *testServer) types.UID
	remove func(*testing.T, *testServer)
	claim  string
}

func noGrace() metav1.DeleteOptions { return metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))} }

func podOf(account, node string) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: account, NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	pod.Name = "pod"
	return pod
}

var bounds = map[string]bound{
	"Pod": {
		ref: authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "pod"},
		create: func(t *testing.T, s *testServer) types.UID {
			return must(s.admin.CoreV1().Pods("shop").Create(t.Context(), podOf("web", ""), metav1.CreateOptions{}))(t).UID
		},
		remove: func(t *testing.T, s *testServer) {
			check(t, s.admin.CoreV1().Pods("shop").Delete(t.Context(), "pod", noGrace()))
		},
		claim: "pod",
	},
	"Secret": {
		ref: authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: "secret"},
		create: func(t *testing.T, s *testServer) types.UID {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret"}}
			return must(s.admin.CoreV1().Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}))(t).UID
		},
		remove: func(t *testing.T, s *testServer) {
			check(t, s.admin.CoreV1().Secrets("shop").Delete(t.Context(), "secret", noGrace()))
		},
		claim: "secret",
	},
	"Node": {
		ref: authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: "node"},
		create: func(t *testing.T, s *testServer) types.UID {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
			return must(s.admin.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}))(t).UID
		},
		remove: func(t *testing.T, s *testServer) {
			check(t, s.admin.CoreV1().Nodes().Delete(t.Context(), "node", noGrace()))
		},
		claim: "node",
	},
}

// newShop starts a server with the account shop/web.
func newShop(t *testing.T, change func(*apiserver.Config)) (*testServer, *corev1.ServiceAccount) {
	t.Helper()
	s := startServer(t, change)
	must(s.admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}))(t)
	return s, s.createAccount(t, "web")
}

func (s *testServer) createAccount(t *testing.T, name string) *corev1.ServiceAccount {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return must(s.admin.CoreV1().ServiceAccounts("shop").Create(t.Context(), account, metav1.CreateOptions{}))(t)
}

func requestFor(audiences ...string) *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
}

// What Kubernetes' integration tests check of TokenRequests, TokenReviews and their
// metadata: SRV-13..26, REQ, TOK and REV through a server.
func TestTokens(t *testing.T) {
	s, account := newShop(t, func(cfg *apiserver.Config) { cfg.TokenRequest.MaxLifetime = 2 * time.Hour })
	warnings := &warningRecorder{}
	s.admin = s.client(t, adminToken, warnings)

	t.Run("of the account", func(t *testing.T) {
		for name, tt := range map[string]struct {
			account string
			meta    metav1.ObjectMeta
			want    string // part of the error
		}{
			"no account":      {account: "ghost", want: `serviceaccounts "ghost" not found`},
			"other name":      {account: "web", meta: metav1.ObjectMeta{Name: "other"}, want: "must match the service account name"},
			"other namespace": {account: "web", meta: metav1.ObjectMeta{Namespace: "other"}, want: "does not match the namespace"}, // SRV-24
			"other UID":       {account: "web", meta: metav1.ObjectMeta{UID: "wrong"}, want: "the UID in the token request (wrong) does not match the UID of the service account (" + string(account.UID) + ")"},
			"its UID":         {account: "web", meta: metav1.ObjectMeta{UID: account.UID}},
			"no UID":          {account: "web"},
		} {
			tr := requestFor("api")
			tr.ObjectMeta = tt.meta
			answer, err := s.admin.CoreV1().ServiceAccounts("shop").CreateToken(t.Context(), tt.account, tr, metav1.CreateOptions{})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v, want %q", name, err, tt.want)
				}
				continue
			}
			check(t, err)
			if answer.Name != "web" || answer.Namespace != "shop" || answer.UID != account.UID || answer.CreationTimestamp.IsZero() {
				t.Errorf("%s: got %v", name, answer.ObjectMeta)
			}
			claims := payload(t, answer.Status.Token)
			if claims["sub"] != "system:serviceaccount:shop:web" || !cmp.Equal(claims["aud"], []any{"api"}) {
				t.Errorf("%s: got claims %v", name, claims)
			}
			status := s.review(t, answer.Status.Token)
			credential := "JTI=" + claims["jti"].(string)
			want := map[string]authenticationv1.ExtraValue{userinfo.ExtraCredentialID: {credential}}
			if !status.Authenticated || !cmp.Equal(status.User.Extra, want) || status.User.Username != "system:serviceaccount:shop:web" {
				t.Errorf("%s: got %+v", name, status)
			}
			wantGroups := []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"} // SRV-12
			if !slices.Equal(status.User.Groups, wantGroups) || !slices.Equal(status.Audiences, []string{"api"}) {
				t.Errorf("%s: got %+v, want groups %q", name, status, wantGroups)
			}
			if got := s.audit.last("serviceaccounts", "token")["authentication.kubernetes.io/issued-credential-id"]; got != credential { // SRV-16
				t.Errorf("%s: audited %q, want %q", name, got, credential)
			}
		}
		if got := warnings.take(); got != nil {
			t.Errorf("got warnings %q", got)
		}
	})

	for kind, b := range bounds {
		t.Run("bound to a "+kind, func(t *testing.T) {
			tr := requestFor("api")
			tr.Spec.BoundObjectRef = &b.ref
			if _, err := s.createToken(t, tr); err == nil {
				t.Error("bound to what doesn't exist")
			}
			uid := b.create(t, s)
			tr.Spec.BoundObjectRef.UID = "wrong"
			if _, err := s.createToken(t, tr); err == nil || !strings.Contains(err.Error(), "the UID in the bound object reference (wrong)") {
				t.Errorf("got %v", err)
			}
			var token string
			for _, uid := range []types.UID{uid, ""} {
				tr.Spec.BoundObjectRef.UID = uid
				token = must(s.createToken(t, tr))(t).Status.Token
				info := payload(t, token)["kubernetes.io"].(map[string]any)
				if got := info[b.claim].(map[string]any)["name"]; got != b.ref.Name || len(info) != 3 {
					t.Errorf("got %v", info)
				}
				if status := s.review(t, token); !status.Authenticated {
					t.Errorf("got %+v", status)
				}
			}
			b.remove(t, s)
			if s.review(t, token).Authenticated {
				t.Error("valid after the deletion")
			}
			b.create(t, s)
			defer b.remove(t, s)
			if s.review(t, token).Authenticated {
				t.Error("valid after another one was created")
			}
		})
	}

	t.Run("bound to a pod of another account", func(t *testing.T) {
		s.createAccount(t, "other")
		must(s.admin.CoreV1().Pods("shop").Create(t.Context(), podOf("other", ""), metav1.CreateOptions{}))(t)
		defer bounds["Pod"].remove(t, s)
		tr := requestFor("api")
		tr.Spec.BoundObjectRef = new(bounds["Pod"].ref)
		tr.Spec.BoundObjectRef.UID = ""
		if _, err := s.createToken(t, tr); err == nil || !strings.Contains(err.Error(), "different serviceaccount name") {
			t.Errorf("got %v", err)
		}
	})

	for _, exists := range []bool{true, false} {
		name := map[bool]string{true: "bound to a pod on a node", false: "bound to a pod on a node that doesn't exist"}[exists]
		t.Run(name, func(t *testing.T) {
			want := map[string]authenticationv1.ExtraValue{userinfo.ExtraNodeName: {"node"}}
			if exists {
				want[userinfo.ExtraNodeUID] = authenticationv1.ExtraValue{string(bounds["Node"].create(t, s))}
				defer bounds["Node"].remove(t, s)
			}
			pod := must(s.admin.CoreV1().Pods("shop").Create(t.Context(), podOf("web", "node"), metav1.CreateOptions{}))(t)
			want[userinfo.ExtraPodName], want[userinfo.ExtraPodUID] = authenticationv1.ExtraValue{"pod"}, authenticationv1.ExtraValue{string(pod.UID)}
			tr := requestFor("api")
			tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "pod"}
			token := must(s.createToken(t, tr))(t).Status.Token
			got := s.review(t, token).User.Extra
			delete(got, userinfo.ExtraCredentialID)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("extra (-want +got):\n%s", diff)
			}
			bounds["Pod"].remove(t, s)
			if s.review(t, token).Authenticated {
				t.Error("valid after the deletion")
			}
		})
	}

	t.Run("lifetime", func(t *testing.T) {
		bounds["Pod"].create(t, s)
		defer bounds["Pod"].remove(t, s)
		const year = 365 * 24 * 3600
		for name, tt := range map[string]struct {
			audiences          []string
			bind               bool
			ask, show, expires int64
			warns              bool
			want               []string
		}{
			"default":                        {audiences: []string{"api"}, show: 3600, expires: 3600},
			"within the limit":               {audiences: []string{"api"}, ask: 6600, show: 6600, expires: 6600},
			"over the limit":                 {audiences: []string{"api"}, ask: 7800, show: 7200, expires: 7200, want: []string{"requested expiration of 7800 seconds shortened to 7200 seconds"}},
			"extended":                       {audiences: []string{"api"}, bind: true, ask: 3607, show: 3607, expires: year, warns: true},
			"not extended, not bound":        {audiences: []string{"api"}, ask: 3607, show: 3607, expires: 3607},
			"not extended, further audience": {audiences: []string{"vault", "api"}, bind: true, ask: 3607, show: 3607, expires: 3607},
		} {
			tr := requestFor(tt.audiences...)
			if tt.ask > 0 {
				tr.Spec.ExpirationSeconds = &tt.ask
			}
			if tt.bind {
				tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "pod"}
			}
			warnings.take()
			answer := must(s.createToken(t, tr))(t)
			claims := payload(t, answer.Status.Token)
			_, warns := claims["kubernetes.io"].(map[string]any)["warnafter"]
			if got := int64(claims["exp"].(float64) - claims["iat"].(float64)); got != tt.expires || *answer.Spec.ExpirationSeconds != tt.show || warns != tt.warns {
				t.Errorf("%s: lives %d s, shows %d, has warnafter %v; want %d, %d, %v", name, got, *answer.Spec.ExpirationSeconds, warns, tt.expires, tt.show, tt.warns)
			}
			if got := warnings.take(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got warnings %q, want %q", name, got, tt.want)
			}
		}
	})

	t.Run("audiences", func(t *testing.T) {
		vault := must(s.createToken(t, requestFor("vault")))(t).Status.Token
		if s.review(t, vault).Authenticated || !s.review(t, vault, "x", "vault").Authenticated {
			t.Error("a token for vault is for vault only")
		}
		if got := s.review(t, vault, "x", "vault").Audiences; !slices.Equal(got, []string{"vault"}) {
			t.Errorf("got audiences %q", got)
		}
		none := must(s.createToken(t, requestFor()))(t).Status.Token
		if got := payload(t, none)["aud"]; !cmp.Equal(got, []any{"api"}) || !s.review(t, none).Authenticated {
			t.Errorf("got audiences %v", got)
		}
	})

	t.Run("the account deleted", func(t *testing.T) {
		token := must(s.createToken(t, requestFor("api")))(t).Status.Token
		check(t, s.admin.CoreV1().ServiceAccounts("shop").Delete(t.Context(), "web", noGrace()))
		if s.review(t, token).Authenticated {
			t.Error("valid after the deletion")
		}
		s.createAccount(t, "web")
		if s.review(t, token).Authenticated {
			t.Error("valid after another one was created")
		}
	})
}
