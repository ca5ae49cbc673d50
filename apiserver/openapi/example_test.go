package openapi_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/kubesa/serviceaccount/apiserver/openapi"
)

// Describe the types of a server. k8s.io/apiserver calls what Definitions returns.
func ExampleDefinitions() {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		fmt.Println(err)
		return
	}
	definitions := openapi.Definitions(scheme)(func(name string) spec.Ref {
		return spec.MustCreateRef("#/components/schemas/" + name)
	})
	account := definitions["io.k8s.api.core.v1.ServiceAccount"]
	secrets := account.Schema.Properties["secrets"]
	fmt.Println(secrets.Type, secrets.Items.Schema.Ref.String())
	fmt.Println(account.Schema.Properties["automountServiceAccountToken"].Type)

	// Output:
	// [array] #/components/schemas/io.k8s.api.core.v1.ObjectReference
	// [boolean]
}
