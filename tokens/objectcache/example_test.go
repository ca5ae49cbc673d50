package objectcache_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
)

// accounts has one ServiceAccount in each logical cluster.
type accounts map[string]string

func (a accounts) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	cluster := tenant.Of(ctx)
	fmt.Println("looking up in", cluster)
	if a[cluster] != name {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
	}
	return &corev1.ServiceAccount{}, nil
}

// Cache objects for ten seconds, for getters that ask a server of many logical
// clusters: the account of one doesn't answer for another's.
func ExampleNew() {
	cached, err := objectcache.New(objectcache.Getters{ServiceAccounts: accounts{"red": "builder"}}, objectcache.Config{
		TTL:         10 * time.Second, // what a deletion takes to be noticed
		NegativeTTL: time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, cluster := range []string{"red", "green", "red"} {
		ctx := tenant.NewContext(context.Background(), cluster)
		_, err := cached.ServiceAccounts.GetServiceAccount(ctx, "ci", "builder")
		fmt.Println(cluster, err)
	}

	// Output:
	// looking up in red
	// red <nil>
	// looking up in green
	// green serviceaccounts "builder" not found
	// red <nil>
}
