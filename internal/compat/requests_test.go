package compat

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	clientfake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	upstreamcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// accountsWithSecrets returns n accounts and an empty token Secret for each.
func accountsWithSecrets(n int) (objects []runtime.Object) {
	for i := range n {
		name := fmt.Sprintf("sa-%d", i)
		objects = append(objects,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID("uid-" + name)}},
			&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name + "-token", UID: types.UID("uid-of-token-" + name), Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
				Type:       corev1.SecretTypeServiceAccountToken,
			})
	}
	return objects
}

// filledSecrets reports how many of the Secrets have a token.
func filledSecrets(list []corev1.Secret) (n int) {
	for i := range list {
		if len(list[i].Data[corev1.ServiceAccountTokenKey]) > 0 {
			n++
		}
	}
	return n
}

// CTL-45: what it costs to fill token Secrets, in requests to the API server.
// Lists and watches, which don't grow with the number of Secrets, don't count.
func TestRequestsPerTokenSecret(t *testing.T) {
	const n = 50
	key := tokenKeys()[1]

	client := clientfake.NewClientset(accountsWithSecrets(n)...)
	factory := informers.NewSharedInformerFactory(client, 0)
	controller := must(upstreamcontroller.NewTokensController(klog.Background(), factory.Core().V1().ServiceAccounts(), factory.Core().V1().Secrets(), client,
		upstreamcontroller.TokensControllerOptions{TokenGenerator: must(upstreamtokens.JWTTokenGenerator(legacyIssuer, key.key))}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	factory.Start(ctx.Done())
	go func() { defer close(done); controller.Run(ctx, 5) }()
	waitFor(t, patience, "upstream to fill the Secrets", func(ctx context.Context) []string {
		list := must(client.CoreV1().Secrets("team").List(ctx, metav1.ListOptions{})).Items
		if got := filledSecrets(list); got < n {
			return []string{fmt.Sprintf("%d of %d are filled", got, n)}
		}
		return nil
	})
	cancel()
	<-done
	factory.Shutdown()
	upstream := 0
	for _, action := range client.Actions() {
		if verb := action.GetVerb(); verb != "list" && verb != "watch" {
			upstream++
		}
	}

	cluster := fake.New(append(accountsWithSecrets(n), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}})...)
	ours := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster.Reader(), Client: cluster, Issuer: benchmarkIssuer(key)}))
	if err := cluster.Settle(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, action := range cluster.Actions() {
		if action.Verb != "list" && action.Verb != "watch" {
			requests++
		}
	}
	t.Logf("requests per filled Secret: upstream %.2f, ours %.2f", float64(upstream)/n, float64(requests)/n)
	if requests != n || upstream <= requests {
		t.Errorf("%d requests for %d Secrets, upstream %d: want one for each, fewer than upstream", requests, n, upstream)
	}
}
