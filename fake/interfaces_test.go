package fake_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
)

var (
	_ tokens.ServiceAccountGetter = (*fake.Cluster)(nil)
	_ tokens.SecretGetter         = (*fake.Cluster)(nil)
	_ tokens.PodGetter            = (*fake.Cluster)(nil)
	_ tokens.NodeGetter           = (*fake.Cluster)(nil)

	_ sacontroller.ServiceAccountsReader = (*fake.Cluster)(nil)
	_ sacontroller.ServiceAccountsClient = (*fake.Cluster)(nil)
	_ sacontroller.TokensReader          = (*fake.Cluster)(nil)
	_ sacontroller.TokensClient          = (*fake.Cluster)(nil)

	_ legacytoken.CleanerReader = (*fake.Cluster)(nil)
	_ legacytoken.CleanerClient = (*fake.Cluster)(nil)
	_ legacytoken.TrackerClient = (*fake.Cluster)(nil)
	_ rootca.ConfigMapsReader   = (*fake.Cluster)(nil)
	_ rootca.ConfigMapsClient   = (*fake.Cluster)(nil)

	_ sacontroller.ServiceAccountsReader = (*fake.Reader)(nil)
	_ sacontroller.TokensReader          = (*fake.Reader)(nil)
	_ legacytoken.CleanerReader          = (*fake.Reader)(nil)
	_ rootca.ConfigMapsReader            = (*fake.Reader)(nil)
)

// The Cluster has every method that client-go's clients get from FromCoreV1,
// and a Reader has those that read.
func TestMethodSets(t *testing.T) {
	real := reflect.TypeFor[*serviceaccount.CoreV1]()
	for method := range real.Methods() {
		for _, have := range []reflect.Type{reflect.TypeFor[*fake.Cluster](), reflect.TypeFor[*fake.Reader]()} {
			read := strings.HasPrefix(method.Name, "Get") || strings.HasPrefix(method.Name, "List") || method.Name == "TokenSecrets"
			if have == reflect.TypeFor[*fake.Reader]() && !read {
				continue
			}
			got, ok := have.MethodByName(method.Name)
			if !ok {
				t.Errorf("%v has no method %s", have, method.Name)
				continue
			}
			if g, w := signature(got.Type), signature(method.Type); g != w {
				t.Errorf("%v.%s is %s, want %s", have, method.Name, g, w)
			}
		}
	}
}

// signature leaves the receiver out.
func signature(f reflect.Type) string {
	var b strings.Builder
	for i := 1; i < f.NumIn(); i++ {
		b.WriteString(f.In(i).String() + " ")
	}
	b.WriteString("->")
	for i := range f.NumOut() {
		b.WriteString(" " + f.Out(i).String())
	}
	return b.String()
}
