package tokens_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
)

const (
	issuerURL = "https://kubernetes.default.svc"
	api       = "api"
)

var (
	now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

	rsaKey   = must(keys.Generate(keys.RS256))
	ecKey    = must(keys.Generate(keys.ES256))
	otherKey = must(keys.Generate(keys.ES256))
)

// A world is what the getters see. The zero value is empty.
type world struct {
	mu         sync.Mutex
	accounts   map[string]*corev1.ServiceAccount
	secrets    map[string]*corev1.Secret
	pods       map[string]*corev1.Pod
	nodes      map[string]*corev1.Node
	validating map[string]*admissionregistrationv1.ValidatingWebhookConfiguration
	mutating   map[string]*admissionregistrationv1.MutatingWebhookConfiguration
	err        error // what every lookup returns if it is set
	lookups    int
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)}
}

// newWorld has the account ci/builder, a pod and a token Secret of it, another
// Secret, a node, and two webhook configurations.
func newWorld() *world {
	return &world{
		accounts: map[string]*corev1.ServiceAccount{"ci/builder": {ObjectMeta: meta("ci", "builder")}},
		secrets: map[string]*corev1.Secret{
			"ci/settings": {ObjectMeta: meta("ci", "settings"), Type: corev1.SecretTypeOpaque},
			"ci/builder-token": {
				ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", UID: "uid-of-builder-token", Annotations: map[string]string{
					tokens.AccountNameAnnotation: "builder", tokens.AccountUIDAnnotation: "uid-of-builder",
				}},
				Type: corev1.SecretTypeServiceAccountToken,
				Data: map[string][]byte{},
			},
		},
		pods: map[string]*corev1.Pod{
			"ci/job": {ObjectMeta: meta("ci", "job"), Spec: corev1.PodSpec{ServiceAccountName: "builder", NodeName: "worker"}},
		},
		nodes:      map[string]*corev1.Node{"worker": {ObjectMeta: meta("", "worker")}},
		validating: map[string]*admissionregistrationv1.ValidatingWebhookConfiguration{"checks": {ObjectMeta: meta("", "checks")}},
		mutating:   map[string]*admissionregistrationv1.MutatingWebhookConfiguration{"defaults": {ObjectMeta: meta("", "defaults")}},
	}
}

func get[T any](w *world, objects map[string]*T, resource, namespace, name string) (*T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.err != nil {
		return nil, w.err
	}
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	object, ok := objects[key]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
	}
	return object, nil
}

func (w *world) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(w, w.accounts, "serviceaccounts", namespace, name)
}

func (w *world) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(w, w.secrets, "secrets", namespace, name)
}

func (w *world) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return get(w, w.pods, "pods", namespace, name)
}

func (w *world) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return get(w, w.nodes, "nodes", "", name)
}

func (w *world) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return get(w, w.validating, "validatingwebhookconfigurations", "", name)
}

func (w *world) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return get(w, w.mutating, "mutatingwebhookconfigurations", "", name)
}

// authenticatorConfig is that of an authenticator for w that accepts
// everything that can be.
func authenticatorConfig(w *world) tokens.AuthenticatorConfig {
	return tokens.AuthenticatorConfig{
		Issuers:         []string{issuerURL, "https://old.example"},
		Keys:            must(keys.NewSet(ecKey, rsaKey)),
		APIAudiences:    []string{api, "api.internal"},
		ServiceAccounts: w,
		Secrets:         w,
		Pods:            w,
		Nodes:           w,
		Webhooks:        w,
		Legacy:          true,
		Now:             func() time.Time { return now },
	}
}

func newAuthenticator(t testing.TB, w *world, change func(*tokens.AuthenticatorConfig)) *tokens.Authenticator {
	t.Helper()
	cfg := authenticatorConfig(w)
	if change != nil {
		change(&cfg)
	}
	a, err := tokens.NewAuthenticator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issuerConfig() tokens.IssuerConfig {
	return tokens.IssuerConfig{Issuer: issuerURL, Signer: must(keys.NewSigner(ecKey)), Now: func() time.Time { return now }}
}

func newIssuer(t testing.TB, change func(*tokens.IssuerConfig)) *tokens.Issuer {
	t.Helper()
	cfg := issuerConfig()
	if change != nil {
		change(&cfg)
	}
	i, err := tokens.NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// object is a JSON object.
type object = map[string]any

// boundClaims are good claims of a token that is bound to the pod of newWorld.
func boundClaims() object {
	return object{
		"iss": issuerURL, "sub": "system:serviceaccount:ci:builder", "aud": []string{api}, "jti": "id-1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + 3600,
		"kubernetes.io": object{
			"namespace":      "ci",
			"serviceaccount": object{"name": "builder", "uid": "uid-of-builder"},
			"pod":            object{"name": "job", "uid": "uid-of-job"},
			"node":           object{"name": "worker", "uid": "uid-of-worker"},
		},
	}
}

// legacyClaims are good claims of the token of newWorld's token Secret.
func legacyClaims() object {
	return object{
		"iss": tokens.LegacyIssuer, "sub": "system:serviceaccount:ci:builder",
		"kubernetes.io/serviceaccount/namespace":            "ci",
		"kubernetes.io/serviceaccount/secret.name":          "builder-token",
		"kubernetes.io/serviceaccount/service-account.name": "builder",
		"kubernetes.io/serviceaccount/service-account.uid":  "uid-of-builder",
	}
}

func private(claims object) object { return claims["kubernetes.io"].(object) }

// mint signs claims, an object or JSON text, with key.
func mint(t testing.TB, key crypto.Signer, claims any) string {
	t.Helper()
	return mintAs(t, key, must(keys.ID(key.Public())), claims)
}

func mintAs(t testing.TB, key crypto.Signer, id string, claims any) string {
	t.Helper()
	payload, ok := claims.(string)
	if !ok {
		payload = string(must(json.Marshal(claims)))
	}
	signer, err := jose.NewSigner(key, id)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// wantInvalid checks that err is an InvalidError of reason, about what.
func wantInvalid(t *testing.T, err error, reason tokens.Reason, what string) {
	t.Helper()
	e, ok := errors.AsType[*tokens.InvalidError](err)
	if !ok || e.Reason != reason || e.What != what {
		t.Fatalf("got %#v, want an InvalidError with the reason %s about %q", err, reason, what)
	}
	if errors.Is(err, tokens.ErrNotRecognized) {
		t.Errorf("%v is ErrNotRecognized too", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func idOf(key crypto.Signer) (string, error) { return keys.ID(key.Public()) }
