package clientgo_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// serve returns the address of an API server for authority.
func serve(t *testing.T, authority *fake.Authority, cfg apiserver.Config) *rest.Config {
	t.Helper()
	handler, err := apiserver.New(authority, cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		authority.Cluster.DropWatches()
		server.Close()
	})
	return &rest.Config{Host: server.URL, QPS: -1}
}

func clientFor(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clientset
}

// Over the wire, by client-go, in both of its encodings, the Cluster keeps the
// promises that it keeps when it is called.
func TestAPIServerKeepsPromises(t *testing.T) {
	for _, encoding := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(encoding, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) clustertest.Cluster {
				config := serve(t, newAuthority(t), apiserver.Config{Controllers: []sacontroller.Controller{}})
				config.ContentType = encoding
				return serviceaccount.FromCoreV1(clientFor(t, config).CoreV1())
			})
		})
	}
}

// An informer sees what happens, and a token of the account lets its bearer in
// until the account is gone.
func TestAPIServerWithClientGo(t *testing.T) {
	authority := newAuthority(t)
	config := serve(t, authority, apiserver.Config{})
	clientset := clientFor(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	factory := informers.NewSharedInformerFactory(clientset, 0)
	defer factory.Shutdown()
	stop := make(chan struct{})
	defer close(stop)
	filled := make(chan string, 10)
	informer := factory.Core().V1().Secrets().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, updated any) {
		if s := updated.(*corev1.Secret); len(s.Data["token"]) > 0 {
			filled <- s.Name
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(stop)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer did not get in sync")
	}
	_, err = clientset.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "manual", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{FieldValidation: "Strict"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case name := <-filled:
		if name != "manual" {
			t.Errorf("the Secret %s was filled", name)
		}
	case <-ctx.Done():
		t.Fatal("the informer did not see the Secret filled")
	}

	request, err := clientset.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bearer := rest.CopyConfig(config)
	bearer.BearerToken = request.Status.Token
	account := clientFor(t, bearer)
	self, err := account.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || self.Status.UserInfo.Username != "system:serviceaccount:default:default" {
		t.Errorf("the bearer is %q: %v", self.Status.UserInfo.Username, err)
	}
	if err := clientset.CoreV1().ServiceAccounts("default").Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := account.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("got %v for the token of an account that is gone, want 401", err)
	}
	if _, err := clientset.CoreV1().Secrets("default").Get(ctx, "manual", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v for the token Secret of an account that is gone, want 404", err)
	}
	if resources, err := clientset.Discovery().ServerPreferredResources(); err != nil || len(resources) != 3 {
		t.Errorf("discovery found %d groups: %v", len(resources), err)
	}
	if version, err := clientset.Discovery().ServerVersion(); err != nil || version.Minor != "37" {
		t.Errorf("the server is of the version %v: %v", version, err)
	}
}
