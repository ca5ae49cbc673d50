// Package tokentest is what the tests of tokens and of the packages below it
// share: a small world of objects, keys, and signed tokens.
package tokentest

import (
	"context"
	"crypto"
	"encoding/json"
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
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// The issuer and the API audience of everything here.
const (
	IssuerURL   = "https://kubernetes.default.svc"
	APIAudience = "api"
)

// Now is the time of everything here, and the keys of its authenticators and
// issuers; OtherKey is one that they don't trust.
var (
	Now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

	RSAKey   = Must(keys.Generate(keys.RS256))
	ECKey    = Must(keys.Generate(keys.ES256))
	OtherKey = Must(keys.Generate(keys.ES256))
)

// A World is what the getters see. The zero value is empty.
type World struct {
	Mu         sync.Mutex
	Accounts   map[string]*corev1.ServiceAccount
	Secrets    map[string]*corev1.Secret
	Pods       map[string]*corev1.Pod
	Nodes      map[string]*corev1.Node
	Validating map[string]*admissionregistrationv1.ValidatingWebhookConfiguration
	Mutating   map[string]*admissionregistrationv1.MutatingWebhookConfiguration
	Err        error // what every lookup returns if it is set
	Lookups    int
}

// Meta returns the metadata of an object whose UID follows from its name.
func Meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)}
}

// NewWorld has the account ci/builder, a pod and a token Secret of it, another
// Secret, a node, and two webhook configurations.
func NewWorld() *World {
	return &World{
		Accounts: map[string]*corev1.ServiceAccount{"ci/builder": {ObjectMeta: Meta("ci", "builder")}},
		Secrets: map[string]*corev1.Secret{
			"ci/settings": {ObjectMeta: Meta("ci", "settings"), Type: corev1.SecretTypeOpaque},
			"ci/builder-token": {
				ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", UID: "uid-of-builder-token", Annotations: map[string]string{
					corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "uid-of-builder",
				}},
				Type: corev1.SecretTypeServiceAccountToken,
				Data: map[string][]byte{},
			},
		},
		Pods: map[string]*corev1.Pod{
			"ci/job": {ObjectMeta: Meta("ci", "job"), Spec: corev1.PodSpec{ServiceAccountName: "builder", NodeName: "worker"}},
		},
		Nodes:      map[string]*corev1.Node{"worker": {ObjectMeta: Meta("", "worker")}},
		Validating: map[string]*admissionregistrationv1.ValidatingWebhookConfiguration{"checks": {ObjectMeta: Meta("", "checks")}},
		Mutating:   map[string]*admissionregistrationv1.MutatingWebhookConfiguration{"defaults": {ObjectMeta: Meta("", "defaults")}},
	}
}

func get[T any](w *World, objects map[string]*T, resource, namespace, name string) (*T, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.Lookups++
	if w.Err != nil {
		return nil, w.Err
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

func (w *World) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return get(w, w.Accounts, "serviceaccounts", namespace, name)
}

func (w *World) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return get(w, w.Secrets, "secrets", namespace, name)
}

func (w *World) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return get(w, w.Pods, "pods", namespace, name)
}

func (w *World) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return get(w, w.Nodes, "nodes", "", name)
}

func (w *World) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return get(w, w.Validating, "validatingwebhookconfigurations", "", name)
}

func (w *World) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return get(w, w.Mutating, "mutatingwebhookconfigurations", "", name)
}

// AuthenticatorConfig is that of an authenticator for w that accepts
// everything that can be.
func AuthenticatorConfig(w *World) tokens.AuthenticatorConfig {
	return tokens.AuthenticatorConfig{
		Issuers:         []string{IssuerURL, "https://old.example"},
		Keys:            Must(keys.NewSet(ECKey, RSAKey)),
		APIAudiences:    []string{APIAudience, "api.internal"},
		ServiceAccounts: w,
		Secrets:         w,
		Pods:            w,
		Nodes:           w,
		Webhooks:        w,
		Legacy:          true,
		Now:             func() time.Time { return Now },
	}
}

// NewAuthenticator returns one of [AuthenticatorConfig], changed by change.
func NewAuthenticator(t testing.TB, w *World, change func(*tokens.AuthenticatorConfig)) *tokens.Authenticator {
	t.Helper()
	cfg := AuthenticatorConfig(w)
	if change != nil {
		change(&cfg)
	}
	a, err := tokens.NewAuthenticator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// IssuerConfig is that of an issuer with ECKey.
func IssuerConfig() tokenissuer.Config {
	return tokenissuer.Config{Issuer: IssuerURL, Signer: Must(keys.NewSigner(ECKey)), Now: func() time.Time { return Now }}
}

// NewIssuer returns one of [IssuerConfig], changed by change.
func NewIssuer(t testing.TB, change func(*tokenissuer.Config)) *tokenissuer.Issuer {
	t.Helper()
	cfg := IssuerConfig()
	if change != nil {
		change(&cfg)
	}
	i, err := tokenissuer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// object is a JSON object.
type object = map[string]any

// BoundClaims are good claims of a token that is bound to the pod of NewWorld.
func BoundClaims() object {
	return object{
		"iss": IssuerURL, "sub": "system:serviceaccount:ci:builder", "aud": []string{APIAudience}, "jti": "id-1",
		"iat": Now.Unix(), "nbf": Now.Unix(), "exp": Now.Unix() + 3600,
		"kubernetes.io": object{
			"namespace":      "ci",
			"serviceaccount": object{"name": "builder", "uid": "uid-of-builder"},
			"pod":            object{"name": "job", "uid": "uid-of-job"},
			"node":           object{"name": "worker", "uid": "uid-of-worker"},
		},
	}
}

// LegacyClaims are good claims of the token of NewWorld's token Secret.
func LegacyClaims() object {
	return object{
		"iss": tokens.LegacyIssuer, "sub": "system:serviceaccount:ci:builder",
		"kubernetes.io/serviceaccount/namespace":            "ci",
		"kubernetes.io/serviceaccount/secret.name":          "builder-token",
		"kubernetes.io/serviceaccount/service-account.name": "builder",
		"kubernetes.io/serviceaccount/service-account.uid":  "uid-of-builder",
	}
}

// Mint signs claims, an object or JSON text, with key.
func Mint(t testing.TB, key crypto.Signer, claims any) string {
	t.Helper()
	return MintAs(t, key, Must(keys.ID(key.Public())), claims)
}

// MintAs is Mint with a key id.
func MintAs(t testing.TB, key crypto.Signer, id string, claims any) string {
	t.Helper()
	payload, ok := claims.(string)
	if !ok {
		payload = string(Must(json.Marshal(claims)))
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

// Must returns v, and panics if there is an error.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
