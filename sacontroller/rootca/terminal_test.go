package rootca_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
)

// What can't succeed until the ConfigMap changes says why and is not retried.
func TestTerminalErrors(t *testing.T) {
	const createCA, updateCA = "create configmaps ns/kube-root-ca.crt", "update configmaps ns/kube-root-ca.crt"
	other := publishedMap("kube-root-ca.crt")
	other.Data = map[string]string{"ca.crt": "other"}
	sealedCA := other.DeepCopy()
	sealedCA.Immutable = new(true)
	namespaceKey := sacontroller.Key{Kind: "Namespace", Name: "ns"}
	publisher := func(t *testing.T, cluster *fake.Cluster) sacontroller.Controller { return newPublisher(t, cluster) }
	satest.Terminal(t, []satest.TerminalCase{
		{Name: "ConfigMap is immutable", Controller: publisher, Key: namespaceKey, World: satest.Objects(satest.Active("ns"), sealedCA), Want: "ConfigMap ns/kube-root-ca.crt is immutable and holds another bundle"},
		{Name: "update of the ConfigMap is invalid", Controller: publisher, Key: namespaceKey, World: satest.Objects(satest.Active("ns"), other), Fault: fault.On("update", "configmaps", satest.ErrInvalid), Want: "updating ConfigMap ns/kube-root-ca.crt: ", Calls: []string{updateCA}},
		{Name: "ConfigMap is too large", Controller: publisher, Key: namespaceKey, World: satest.Objects(satest.Active("ns")), Fault: fault.On("create", "configmaps", satest.ErrTooLarge), Want: "creating ConfigMap ns/kube-root-ca.crt: ", Calls: []string{createCA}},
		{Name: "ConfigMap is forbidden", Controller: publisher, Key: namespaceKey, World: satest.Objects(satest.Active("ns")), Fault: fault.On("create", "configmaps", satest.ErrForbidden), Want: "exceeded quota", Calls: []string{createCA}, Retried: true},
	})
}
