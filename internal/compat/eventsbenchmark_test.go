package compat

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/klog/v2"
	upstreamcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// The token controllers work on Clusters: upstream's with client-go's fake
// clientset, informers and five workers, as it comes; ours with Settle, which is one
// goroutine. What users do is part of the time of both.

// A tokenSide is a token controller on a Cluster.
type tokenSide struct {
	cluster *fake.Cluster
	settle  func(done func(secret *corev1.Secret, event watch.EventType) bool, n int) // until n events are done
	stop    func()
}

func newTokenSide(b *testing.B, impl string, objects ...runtime.Object) *tokenSide {
	b.Helper()
	cluster, key := fake.New(objects...), tokenKeys()[1]
	if impl == "ours" {
		tokens := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster.Reader(), Client: cluster, Issuer: benchmarkIssuer(key)}))
		settle := func(func(*corev1.Secret, watch.EventType) bool, int) {
			if err := cluster.Settle(b.Context(), tokens); err != nil {
				b.Fatal(err)
			}
		}
		settle(nil, 0)
		return &tokenSide{cluster, settle, func() {}}
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	client := newUpstreamClient(ctx, cluster, nil)
	factory := informers.NewSharedInformerFactory(client, 0)
	tokens := must(upstreamcontroller.NewTokensController(klog.Logger{}, factory.Core().V1().ServiceAccounts(), factory.Core().V1().Secrets(), client,
		upstreamcontroller.TokensControllerOptions{TokenGenerator: must(upstreamtokens.JWTTokenGenerator(legacyIssuer, key.key))}))
	feed := must(cluster.Watch(ctx, "secrets", "", metav1.ListOptions{ResourceVersion: must(cluster.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})).ResourceVersion}))
	factory.StartWithContext(ctx)
	done := make(chan struct{})
	go func() { defer close(done); tokens.Run(ctx, 5) }()
	side := &tokenSide{cluster: cluster}
	side.settle = func(done func(*corev1.Secret, watch.EventType) bool, n int) {
		for n > 0 {
			event, err := feed.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if done(event.Object.(*corev1.Secret), event.Type) {
				n--
			}
		}
	}
	side.stop = func() {
		cancel()
		<-done
		factory.Shutdown()
		feed.Stop()
	}
	// Its queues are done with what was there when they are done with what is new.
	side.createSecrets(b, "last", 1)
	side.settle(isFilled, 1)
	if err := cluster.DeleteServiceAccount(b.Context(), "team", "last", metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	side.settle(isDeleted, 1)
	return side
}

func isFilled(secret *corev1.Secret, event watch.EventType) bool {
	return event == watch.Modified && len(secret.Data[corev1.ServiceAccountTokenKey]) > 0
}

func isDeleted(_ *corev1.Secret, event watch.EventType) bool { return event == watch.Deleted }

func (s *tokenSide) createSecrets(b *testing.B, account string, n int) {
	b.Helper()
	for range n {
		_, err := s.cluster.CreateSecret(b.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", GenerateName: account + "-", Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
			Type:       corev1.SecretTypeServiceAccountToken,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// requests counts what was asked of the API since the last time, without users.
func (s *tokenSide) requests() (n int) {
	for _, a := range s.cluster.Actions() {
		if a.Actor != "" && a.Verb != "list" && a.Verb != "watch" {
			n++
		}
	}
	s.cluster.ClearActions()
	return n
}

// tokenAccounts returns n accounts called builder-<i> and one called last.
func tokenAccounts(n int) (objects []runtime.Object) {
	objects = append(objects, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "last", UID: "last"}})
	for i := range n {
		name := fmt.Sprintf("builder-%d", i)
		objects = append(objects, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID("uid-" + name)}})
	}
	return objects
}

// BenchmarkFillSecret fills 100 token Secrets at a time. CTL-45
func BenchmarkFillSecret(b *testing.B) {
	const n = 100
	for _, impl := range []string{"upstream", "ours"} {
		b.Run("impl="+impl, func(b *testing.B) {
			side := newTokenSide(b, impl, tokenAccounts(1)...)
			defer side.stop()
			side.requests()
			b.ReportAllocs()
			secrets, requests := 0, 0
			for b.Loop() {
				side.createSecrets(b, "builder-0", n)
				side.settle(isFilled, n)
				secrets += n
			}
			requests = side.requests()
			b.ReportMetric(float64(requests)/float64(secrets), "requests/secret")
		})
	}
}

// BenchmarkDeleteAccounts deletes n accounts of one namespace, each of which has a
// token Secret. CTL-21
func BenchmarkDeleteAccounts(b *testing.B) {
	for _, n := range []int{1000, 8000} {
		objects := tokenAccounts(n)
		for i, o := range objects[1:] {
			account := o.(*corev1.ServiceAccount)
			objects = append(objects, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: fmt.Sprintf("token-%d", i), Annotations: map[string]string{
					corev1.ServiceAccountNameKey: account.Name, corev1.ServiceAccountUIDKey: string(account.UID),
				}},
				Type: corev1.SecretTypeServiceAccountToken,
				Data: map[string][]byte{"token": []byte("x"), "namespace": []byte("team")},
			})
		}
		for _, impl := range []string{"upstream", "ours"} {
			b.Run(fmt.Sprintf("n=%d/impl=%s", n, impl), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					side := newTokenSide(b, impl, objects...)
					b.StartTimer()
					for i := range n {
						if err := side.cluster.DeleteServiceAccount(b.Context(), "team", fmt.Sprintf("builder-%d", i), metav1.DeleteOptions{}); err != nil {
							b.Fatal(err)
						}
					}
					side.settle(isDeleted, n)
					b.StopTimer()
					if left := len(must(side.cluster.ListSecrets(b.Context(), "team"))); left > 0 {
						b.Fatalf("%d Secrets are left", left)
					}
					side.stop()
					b.StartTimer()
				}
			})
		}
	}
}
