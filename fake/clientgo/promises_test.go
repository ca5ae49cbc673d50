package clientgo_test

import (
	"errors"
	"strings"
	"testing"

	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	serviceaccount "github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake/clientgo"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// The clientset keeps the promises of the Cluster behind it, but for those about
// contexts, which its reactors are not given.
func TestPromises(t *testing.T) {
	left := 0
	for _, p := range clustertest.Promises() {
		if strings.Contains(p.Name, "context") || strings.Contains(p.Name, "deadline") {
			left++
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			clientset := kubernetesfake.NewClientset()
			install(t, clientset, clientgo.Config{Authority: newAuthority(t)})
			err := p.Check(t.Context(), serviceaccount.FromCoreV1(clientset.CoreV1()))
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	if left != 2 {
		t.Errorf("%d promises are about contexts, want 2", left)
	}
}
