package compat

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	serviceaccount "github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/secretstore"
	"github.com/kubesa/serviceaccount/keys/keyring/storetest"
)

// Key rings in Secrets of a real kube-apiserver keep the promises of a Store, whether the
// first step creates the Secret or it was there.
func TestSecretStore(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	core := e.client.CoreV1()
	if _, err := core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "issuer-system"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	clients := serviceaccount.FromCoreV1(core)
	secrets := 0
	for _, beforehand := range []bool{false, true} {
		t.Run(fmt.Sprintf("created beforehand %t", beforehand), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) func() keyring.Store {
				secrets++
				name := fmt.Sprintf("keys-%d", secrets)
				if beforehand {
					if _, err := clients.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "issuer-system", Name: name}}); err != nil {
						t.Fatal(err)
					}
				}
				return func() keyring.Store {
					return must(secretstore.New(secretstore.Config{Client: clients, Namespace: "issuer-system", Name: name}))
				}
			})
		})
	}
}
