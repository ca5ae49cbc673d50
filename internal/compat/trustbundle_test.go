package compat

import (
	"context"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/kubernetes/pkg/controller/certificates/clustertrustbundlepublisher"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// On a real API server our publisher writes the bundle that Kubernetes' writes, but for the
// label, and finds Kubernetes' bundle good; what the fake rejects, the API server rejects
// with the same text (CTB-5 to CTB-12, CTB-22, CTB-23).
func TestEndToEndTrustBundles(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	ctx, bundles := t.Context(), serviceaccount.FromCertificatesV1(e.client.CertificatesV1())
	ca := append([]byte("# the serving CA\n"), e.server.CA()...)
	key := sacontroller.Key{Kind: "ClusterTrustBundle", Name: "kubernetes.io:kube-apiserver-serving"}
	list := func() []*certificatesv1.ClusterTrustBundle {
		return must(bundles.ListClusterTrustBundles(ctx, rootca.ServingSigner))
	}
	publisher := must(rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: bundles, Client: bundles, RootCA: ca}))

	run, stop := context.WithCancel(ctx)
	defer stop()
	upstream := must(clustertrustbundlepublisher.NewGAClusterTrustBundlePublisher(rootca.ServingSigner, must(dynamiccertificates.NewStaticCAContent("ca", ca)), e.client))
	done := make(chan struct{})
	go func() { defer close(done); upstream.Run(run) }()
	waitFor(t, patience, "Kubernetes' publisher", func(context.Context) []string {
		if len(list()) == 0 {
			return []string{"there is no bundle"}
		}
		return nil
	})
	stop()
	<-done
	theirs := list()[0]
	if result, err := publisher.Reconcile(ctx, key); err != nil || result != (sacontroller.Result{}) {
		t.Errorf("Reconcile() beside Kubernetes' bundle = %v, %v", result, err)
	}
	if now := list(); len(now) != 1 || now[0].ResourceVersion != theirs.ResourceVersion {
		t.Errorf("bundles %v, want Kubernetes' own as it was", now)
	}
	if err := bundles.DeleteClusterTrustBundle(ctx, theirs.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Reconcile(ctx, key); err != nil {
		t.Fatal(err)
	}
	ours := list()
	if len(ours) != 1 || ours[0].Labels[rootca.OwnerLabel] == "" {
		t.Fatalf("bundles %v, want ours, with its label", ours)
	}
	if d := cmp.Diff([]any{theirs.Name, theirs.Spec}, []any{ours[0].Name, ours[0].Spec}); d != "" {
		t.Errorf("the bundles differ (-Kubernetes +ours):\n%s", d)
	}

	one := string(e.server.CA())
	block, _ := pem.Decode(e.server.CA())
	block.Headers = map[string]string{"a": "b"}
	for _, tt := range []struct{ name, signer, bundle string }{
		{"good", "", one},
		{"example.com:ca:good", "example.com/ca", one},
		{"example.com:ca:UPPER", "example.com/ca", one},
		{"example.com:ca:", "example.com/ca", one},
		{"other", "example.com/ca", one},
		{"a:b", "", one},
		{"UPPER", "", one},
		{"com:ca:x", "com/ca", one},
		{"x:ca:x", "x", one},
		{"example.com:a:b:x", "example.com/a/b", one},
		{"example.com:CA_1.B:x", "example.com/CA_1.B", one},
		{"EXAMPLE.com:ca:x", "EXAMPLE.com/ca", one},
		{"empty", "", ""},
		{"text", "", "no PEM"},
		{"twice", "", one + one},
		{"headers", "", string(pem.EncodeToMemory(block))},
		{"key", "", one + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
		{"no-der", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + one + one},
		{"large", "", one + strings.Repeat("#", 1<<20)},
		{strings.Repeat("a", 254), "", one},
		{"example.com:ca:" + strings.Repeat("a", 254), "example.com/ca", one},
	} {
		bundle := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: tt.signer, TrustBundle: tt.bundle}}
		bundle.Name = tt.name
		_, theirErr := bundles.CreateClusterTrustBundle(ctx, bundle)
		_, ourErr := new(fake.Cluster).CreateClusterTrustBundle(ctx, bundle)
		if d := cmp.Diff(answerOf(theirErr), answerOf(ourErr)); d != "" {
			t.Errorf("%.60s: the answers differ (-Kubernetes +fake):\n%s", tt.name, d)
		}
	}
}
