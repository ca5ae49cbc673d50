package apiserver_test

import (
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	clientfake "k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/apiserver/lookup"
	"github.com/kubesa/serviceaccount/fake"
)

// initializer calls itself.
type initializer func(p *apiserver.AdmissionPlugin)

func (f initializer) Initialize(plugin genericadmission.Interface) {
	f(plugin.(*apiserver.AdmissionPlugin))
}

func shopAccount(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
}

const configHead = "apiVersion: serviceaccount.kubesa.io/v1alpha1\nkind: ServiceAccountConfiguration\n"

// Getters come before what the server gives to its plugins, and of those the cached ones
// before the live ones.
func TestAdmissionGetters(t *testing.T) {
	client := clientfake.NewClientset(shopAccount("client"))
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	check(t, indexer.Add(shopAccount("listed")))
	listed := lookup.FromListers(lookup.Listers{ServiceAccounts: corev1listers.NewServiceAccountLister(indexer)})
	live, cached := fake.New(shopAccount("live")), fake.New(shopAccount("cached"))
	of := func(c *fake.Cluster) lookup.Getters { return lookup.Getters{ServiceAccounts: c, Secrets: c} }
	servers := func(p *apiserver.AdmissionPlugin) {
		p.SetExternalKubeClientSet(client)
		p.SetExternalKubeInformerFactory(informers.NewSharedInformerFactory(client, 0)) // which is never started
	}
	for _, tt := range []struct {
		name       string
		initialize initializer
		file       string
		admitted   string // the accounts
		denied     string
		wantErr    string
	}{
		{name: "live only", initialize: func(p *apiserver.AdmissionPlugin) { p.SetGetters(lookup.Getters{}, of(live)); servers(p) }, admitted: "live", denied: "client cached"},
		{name: "cached and live", initialize: func(p *apiserver.AdmissionPlugin) { p.SetGetters(of(cached), of(live)); servers(p) }, admitted: "cached live", denied: "client"},
		{name: "listed and live", initialize: func(p *apiserver.AdmissionPlugin) { p.SetGetters(listed, of(live)); p.SetExternalKubeClientSet(client) }, admitted: "listed live", denied: "client"},
		{name: "nothing from the server", initialize: func(p *apiserver.AdmissionPlugin) {
			p.SetGetters(lookup.Getters{}, of(live))
			p.SetExternalKubeClientSet(nil)
			p.SetExternalKubeInformerFactory(nil)
		}, admitted: "live"},
		{name: "no informers", initialize: func(p *apiserver.AdmissionPlugin) {
			p.SetExternalKubeClientSet(client)
			p.SetExternalKubeInformerFactory(nil)
		}, wantErr: "ServiceAccounts"},
		{name: "Secrets", initialize: func(p *apiserver.AdmissionPlugin) { p.SetGetters(of(cached), of(live)) }, file: configHead + "tokenVolume: SecretBacked\nallowMissingToken: true\n", admitted: "cached live"},
		{name: "no Secrets", initialize: func(p *apiserver.AdmissionPlugin) {
			p.SetGetters(lookup.Getters{}, lookup.Getters{ServiceAccounts: live})
		}, file: configHead + "tokenVolume: SecretBacked\n", wantErr: "Secrets"},
		{name: "a bad file", initialize: servers, file: configHead + "tokenVolume: none\n", wantErr: "tokenVolume"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plugin, err := registered(t, tt.file, tt.initialize)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got %v, want an error about %s", err, tt.wantErr)
				}
				return
			}
			check(t, err)
			p := plugin.(genericadmission.MutationInterface)
			for account := range strings.FieldsSeq(tt.admitted) {
				if err := p.Admit(t.Context(), attributes(podOf(account, ""), "pods", "", genericadmission.Create), nil); err != nil {
					t.Errorf("%s: Admit() = %v", account, err)
				}
			}
			for account := range strings.FieldsSeq(tt.denied) {
				err := p.Admit(t.Context(), attributes(podOf(account, ""), "pods", "", genericadmission.Create), nil)
				if err == nil || !strings.Contains(err.Error(), "error looking up service account") {
					t.Errorf("%s: Admit() = %v, want it not found", account, err)
				}
			}
		})
	}
}

// SRV-30: the plugin waits for the informers that it reads from, and no others.
func TestAdmissionWaits(t *testing.T) {
	for _, tt := range []struct {
		name, file        string
		accounts, secrets bool // which informers run
		ready             bool
	}{
		{name: "none"},
		{name: "accounts", accounts: true, ready: true},
		{name: "Secrets only", file: configHead + "tokenVolume: SecretBacked\n", secrets: true},
		{name: "accounts only", file: configHead + "tokenVolume: SecretBacked\n", accounts: true},
		{name: "both", file: configHead + "tokenVolume: SecretBacked\nallowMissingToken: true\n", accounts: true, secrets: true, ready: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := clientfake.NewClientset(shopAccount("web"))
			factory := informers.NewSharedInformerFactory(client, 0)
			plugin := must(registered(t, tt.file, initializer(func(p *apiserver.AdmissionPlugin) {
				p.SetExternalKubeInformerFactory(factory)
				p.SetExternalKubeClientSet(client)
			})))(t)
			core := factory.Core().V1()
			if tt.accounts {
				go core.ServiceAccounts().Informer().RunWithContext(t.Context())
			}
			if tt.secrets {
				go core.Secrets().Informer().RunWithContext(t.Context())
			}
			err := plugin.(genericadmission.MutationInterface).Admit(t.Context(), attributes(podOf("web", ""), "pods", "", genericadmission.Create), nil)
			if tt.ready != (err == nil) || err != nil && !strings.Contains(err.Error(), "not yet ready") {
				t.Errorf("%s: Admit() = %v, want it ready: %v", tt.name, err, tt.ready)
			}
		})
	}
}
