package tokens_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// askedWorld is every getter, and has every object. It remembers the names that it
// is asked for.
type askedWorld struct{ asked []string }

func (w *askedWorld) ask(parts ...string) metav1.ObjectMeta {
	w.asked = append(w.asked, parts...)
	meta := tokentest.Meta("", parts[len(parts)-1])
	meta.UID = "uid"
	if len(parts) > 1 {
		meta.Namespace = parts[0]
	}
	return meta
}

func (w *askedWorld) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: w.ask(namespace, name)}, nil
}
func (w *askedWorld) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return &corev1.Secret{ObjectMeta: w.ask(namespace, name), Type: corev1.SecretTypeServiceAccountToken}, nil
}
func (w *askedWorld) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return &corev1.Pod{ObjectMeta: w.ask(namespace, name)}, nil
}
func (w *askedWorld) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return &corev1.Node{ObjectMeta: w.ask(name)}, nil
}
func (w *askedWorld) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: w.ask(name)}, nil
}
func (w *askedWorld) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: w.ask(name)}, nil
}
func (w *askedWorld) GetObject(_ context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	meta := w.ask(kind.Group, kind.Version, kind.Kind, name)
	meta.Namespace = namespace
	return &meta, nil
}

// A token that another issuer with the same keys has signed may have anything in
// its claims. No name that can't be reaches a getter.
func TestNamesOfClaims(t *testing.T) {
	for _, name := range tokentest.HostileNames {
		bound := func(claim string) object {
			c := tokentest.BoundClaims()
			delete(private(c), "pod")
			delete(private(c), "node")
			private(c)["serviceaccount"] = object{"name": "builder", "uid": "uid"}
			private(c)["attestations"] = object{tokens.AttestedAPIGroups: []string{"apps"}}
			if claim != "" {
				private(c)[claim] = object{"name": name, "uid": "uid"}
			}
			return c
		}
		further := func(apiVersion, kind, name string) object {
			c := bound("")
			private(c)["object"] = object{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": "uid"}
			return c
		}
		account := bound("serviceaccount")
		account["sub"] = "system:serviceaccount:ci:" + name
		namespace := bound("")
		private(namespace)["namespace"] = name
		namespace["sub"] = "system:serviceaccount:" + name + ":builder"
		legacy := func(claim, sub string) object {
			c := tokentest.LegacyClaims()
			c["kubernetes.io/serviceaccount/"+claim] = name
			c["sub"] = sub
			return c
		}
		node := bound("node")
		private(node)["pod"] = object{"name": "job", "uid": "uid"}
		claims := map[string]object{
			"account": account, "namespace": namespace, "pod": bound("pod"), "secret": bound("secret"), "node": bound("node"), "node of a pod": node,
			"validating": bound("validatingwebhookconfiguration"), "mutating": bound("mutatingwebhookconfiguration"),
			"kind":              further("batch/v1", name+"/", "nightly"),
			"version":           further("batch/"+name+"/", "Job", "nightly"),
			"group":             further(name+"/v1", "Job", "nightly"),
			"legacy secret":     legacy("secret.name", "system:serviceaccount:ci:builder"),
			"legacy account":    legacy("service-account.name", "system:serviceaccount:ci:"+name),
			"legacy namespace":  legacy("namespace", "system:serviceaccount:"+name+":builder"),
			"name of an object": further("batch/v1", "Job", "a/../"+name),
		}
		for what, c := range claims {
			w := &askedWorld{}
			a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) {
				cfg.ServiceAccounts, cfg.Secrets, cfg.Pods, cfg.Nodes, cfg.Webhooks, cfg.Objects = w, w, w, w, w, w
			})
			_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, c))
			if e, ok := errors.AsType[*tokens.InvalidError](err); !ok || e.Reason != tokens.ReasonInvalidClaim || len(w.asked) > 0 || strings.Contains(err.Error(), name+"/") {
				t.Errorf("%s %q: %v after asking for %q, want an invalid claim and nothing asked for", what, name, err, w.asked)
			}
		}
	}
}
