package serviceaccount_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// A namespace gets its account, a pod is admitted, a token is issued and
// authenticated, and deleting the account revokes it.
func Example() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})

	// The controller gives the namespace its account "default".
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: cluster, Client: cluster}))
	check(cluster.Settle(ctx, accounts))

	// Admission gives a pod the account and its token volume.
	plugin := must(admission.New(admission.Config{ServiceAccounts: cluster}))
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}}}
	check(plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: "shop", Name: "web", Pod: pod}))
	fmt.Println(pod.Spec.ServiceAccountName, pod.Spec.Containers[0].VolumeMounts[0].MountPath)

	// An issuer signs a token for the account, and an authenticator verifies it.
	key := must(keys.Generate(keys.ES256))
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://shop.example", Signer: must(keys.NewSigner(key))}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{"https://shop.example"}, APIAudiences: []string{"shop"},
		Keys: must(keys.NewSet(key.Public())), ServiceAccounts: cluster,
	}))
	account := must(cluster.GetServiceAccount(ctx, "shop", "default"))
	token := must(issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"shop"}, Lifetime: time.Hour}))
	fmt.Println(must(authenticator.Authenticate(ctx, token.Value)).UserInfo().Username)

	// Deleting the account revokes the token immediately.
	check(cluster.DeleteServiceAccount(ctx, "shop", "default", metav1.DeleteOptions{}))
	_, err := authenticator.Authenticate(ctx, token.Value)
	fmt.Println(err)

	// Output:
	// default /var/run/secrets/kubernetes.io/serviceaccount
	// system:serviceaccount:shop:default
	// tokens: service account token has been invalidated: its ServiceAccount is gone
}

// Connect admission to an API server. Here clientset stands for a
// *kubernetes.Clientset.
func ExampleFromCoreV1() {
	ctx := context.Background()
	clientset := fake.New(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "builder"}})

	clients := serviceaccount.FromCoreV1(clientset.CoreV1())
	plugin := must(admission.New(admission.Config{ServiceAccounts: clients, DisableWait: true}))
	for _, account := range []string{"builder", "ghost"} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: account}}
		err := plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: "shop", Name: "web", Pod: pod})
		fmt.Println(account, err)
	}

	// Output:
	// builder <nil>
	// ghost pods "web" is forbidden: error looking up service account shop/ghost: serviceaccount "ghost" not found
}

// Connect the publisher of ClusterTrustBundles to an API server. Here clientset stands for
// a *kubernetes.Clientset.
func ExampleFromCertificatesV1() {
	clientset := new(fake.Cluster)
	bundles := serviceaccount.FromCertificatesV1(clientset.CertificatesV1())
	_, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: bundles, Client: bundles, RootCA: []byte("not PEM")})
	fmt.Println(err)

	// Output:
	// rootca: TrustBundlesConfig.RootCA is rejected: CA bundle holds no certificate, want at least one in PEM
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
