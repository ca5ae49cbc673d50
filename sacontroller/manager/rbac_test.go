package manager_test

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Every controller does all that it can do, and the manifests allow every request,
// and nothing that wasn't requested.
func TestManifestsAllowWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used := actionsOfEverything(t)
		allowed := rulesOfManifests(t, "cmd/serviceaccount-manager/manifests/rbac.yaml")
		for action := range used {
			if !allowed[action] {
				t.Errorf("the manifests don't allow to %s", action)
			}
		}
		for action := range allowed {
			// An Event is patched when it comes again, which the recorder does
			// in its own time.
			// What attest allows is checked when a bundle is written.
			if !used[action] && action != "patch events" && action != "attest signers" {
				t.Errorf("the manifests allow to %s, which nobody does", action)
			}
		}
	})
}

// actionsOfEverything returns the requests that the six controllers, Events and
// leader election make, as "verb resource".
func actionsOfEverything(t *testing.T) map[string]bool {
	t.Helper()
	now := time.Now()
	old := metav1.NewTime(now.Add(-10 * 365 * 24 * time.Hour))
	unused := func(name string, labels map[string]string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: name, UID: "u-uid", CreationTimestamp: old, Labels: labels,
				Annotations: map[string]string{corev1.ServiceAccountNameKey: "old"},
			},
			Type: corev1.SecretTypeServiceAccountToken,
			Data: map[string][]byte{"token": []byte("t"), "namespace": []byte("ns"), "ca.crt": []byte("CA Data")},
		}
	}
	marked := unused("marked", map[string]string{"kubernetes.io/legacy-token-invalid-since": "1991-01-01"})
	marked.UID = "m-uid"
	s := newServer(active("ns"), active("kube-system"),
		&corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "old", UID: "old-uid"},
			Secrets:    []corev1.ObjectReference{{Name: "unused"}, {Name: "marked"}},
		},
		unused("unused", nil), marked,
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"},
			Data:       map[string]string{"since": "1991-01-01"},
		})
	p := newProgram(t, s, candidate("a"))
	clients := serviceaccount.FromCoreV1(s.client.CoreV1())
	cleaner, err := legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: p.Reader(), Client: clients})
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: p.Reader(), Client: clients})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: p.Reader(), Client: clients, RootCA: []byte("CA Data")})
	if err != nil {
		t.Fatal(err)
	}
	generator, err := sacontroller.NewTokens(sacontroller.TokensConfig{Reader: p.Reader(), Client: clients, Issuer: p.issuer, AutoGenerate: true})
	if err != nil {
		t.Fatal(err)
	}
	certificates := serviceaccount.FromCertificatesV1(s.client.CertificatesV1())
	bundles, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{
		Reader: p.Reader(), Client: certificates, RootCA: newCA(t), Now: func() time.Time { return fake.Epoch.Add(100 * time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []sacontroller.Controller{cleaner, tracker, publisher, bundles, poisoned{generator, "generator"}} {
		if err := p.Add(c, manager.Options{Watch: []manager.Resource{
			manager.Namespaces, manager.ServiceAccounts, manager.TokenSecrets, manager.Pods, manager.RootCAConfigMaps, manager.TrackingConfigMap, manager.ServingTrustBundles,
		}}); err != nil {
			t.Fatal(err)
		}
	}
	p.start(t)
	time.Sleep(time.Minute)
	p.issuer.fail(errKMS)
	s.createToken(t, "ns", "t", "default")
	time.Sleep(time.Minute)
	p.issuer.fail(nil)
	m, err := s.GetConfigMap(t.Context(), "ns", "kube-root-ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.ListClusterTrustBundles(t.Context(), rootca.ServingSigner)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d ClusterTrustBundles, %v, want one", len(all), err)
	}
	all[0].Spec.TrustBundle = string(newCA(t))
	if _, err := s.UpdateClusterTrustBundle(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if err := bundles.SetRootCA(newCA(t)); err != nil {
		t.Fatal(err)
	}
	m.Data = nil
	if _, err := s.UpdateConfigMap(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	used := map[string]bool{}
	for _, a := range s.client.Actions() {
		used[a.GetVerb()+" "+a.GetResource().Resource] = true
	}
	return used
}

// rulesOfManifests returns what file allows, as "verb resource".
func rulesOfManifests(t *testing.T, file string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := yaml.Unmarshal(document, &role); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"Role", "ClusterRole"}, role.Kind) {
			continue
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					allowed[verb+" "+resource] = true
				}
			}
		}
	}
	return allowed
}
