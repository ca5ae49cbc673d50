package tokens_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
)

// Until a controller has set the UID, a token Secret has only the name of its
// account.
func ExampleTokenSecretOwner() {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	name, uid := tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	secret.Annotations[corev1.ServiceAccountUIDKey] = "f3e9f0a2"
	name, uid = tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	secret.Type = corev1.SecretTypeOpaque
	name, uid = tokens.TokenSecretOwner(secret)
	fmt.Printf("%q %q\n", name, uid)

	// Output:
	// "builder" ""
	// "builder" "f3e9f0a2"
	// "" ""
}
