package fieldmanager_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/fieldmanager"
)

// Two programs apply to one ConfigMap: each owns what it sets.
func ExampleNew() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	cluster.ManageFields(fieldmanager.New())
	apply := func(manager, data string) {
		configuration := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: " + data
		_, created, err := cluster.Resource("configmaps").Apply(ctx, "ci", "settings", "", []byte(configuration), metav1.PatchOptions{FieldManager: manager})
		fmt.Println(manager, created, err)
	}
	apply("deployer", "{level: info}")
	apply("tuner", "{workers: '4'}")
	apply("tuner", "{level: debug}")

	// Output:
	// deployer true <nil>
	// tuner false <nil>
	// tuner false Apply failed with 1 conflict: conflict with "deployer": .data.level
}
