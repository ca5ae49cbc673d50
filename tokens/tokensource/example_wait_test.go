package tokensource_test

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// Create a token Secret and wait until the controller has filled it.
func ExampleWaitPopulated() {
	ctx := context.Background()
	cluster := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}, Type: corev1.SecretTypeOpaque},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		},
	)
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: "https://kubernetes.default.svc", Signer: must(keys.NewSigner(must(keys.Generate(keys.ES256))))}))
	controller := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: cluster, Client: cluster, Issuer: issuer}))
	go cluster.Settle(ctx, controller) // in a cluster, the controller runs elsewhere

	secret, err := tokensource.WaitPopulated(ctx, cluster, "ci", "builder-token", tokensource.WaitOptions{})
	fmt.Println(len(secret.Data[corev1.ServiceAccountTokenKey]) > 0, err)

	_, err = tokensource.WaitPopulated(ctx, cluster, "ci", "password", tokensource.WaitOptions{})
	if e, ok := errors.AsType[*tokensource.NotPopulatedError](err); ok {
		fmt.Println(e.Reason)
	}
	fmt.Println(err)

	// Output:
	// true <nil>
	// WrongType
	// tokensource: Secret ci/password has no token: its type is not kubernetes.io/service-account-token
}
