package secretstore_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/secretstore"
)

// Two replicas start together and agree on one key.
func ExampleNew() {
	ctx := context.Background()
	client := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "issuer-system"}}) // in production: FromCoreV1
	var ids []string
	for range 2 {
		store, err := secretstore.New(secretstore.Config{Client: client, Namespace: "issuer-system", Name: "keys"})
		if err != nil {
			fmt.Println(err)
			return
		}
		ring, err := keyring.OpenStore(ctx, store, keyring.Config{})
		if err != nil {
			fmt.Println(err)
			return
		}
		id, err := ring.EnsureSigning(ctx, keys.ES256)
		if err != nil {
			fmt.Println(err)
			return
		}
		ids = append(ids, id)
	}
	fmt.Println(ids[0] == ids[1])

	_, err := secretstore.New(secretstore.Config{Client: client, Namespace: "issuer-system"})
	fmt.Println(err)

	// Output:
	// true
	// secretstore: Config.Name is "", want the name of a Secret
}
