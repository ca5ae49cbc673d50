package rootca_test

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Every method of every Reader and Client may return nothing and no error.
func TestNothingIsAnError(t *testing.T) {
	satest.Nothing(t, []satest.NothingCase{
		{
			Name:   "ConfigMaps",
			Reader: reflect.TypeFor[rootca.ConfigMapsReader](), Client: reflect.TypeFor[rootca.ConfigMapsClient](),
			Worlds: [][]runtime.Object{satest.Objects(satest.Active("ns")), satest.Objects(satest.Active("ns"), publishedMap("kube-root-ca.crt"))},
			Keys:   []sacontroller.Key{{Kind: "Namespace", Name: "ns"}},
			Controller: func(reader, client satest.Silent, _ func(error)) sacontroller.Controller {
				return satest.Must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: reader, Client: client, RootCA: []byte("CA")}))
			},
		},
	})
}
