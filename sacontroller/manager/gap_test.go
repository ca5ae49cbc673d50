package manager_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/fake/fault"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

// An account that the controller makes, and somebody deletes, while there is
// no watch is neither in the cache before nor in the list after. It is made again.
func TestMissedLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		p := newProgram(t, s)
		p.start(t)
		s.Inject(fault.On("watch", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
		s.Inject(fault.On("list", "serviceaccounts", apierrors.NewServiceUnavailable("down")))
		s.DropWatches()
		time.Sleep(10 * time.Second)
		if _, err := s.CreateNamespace(t.Context(), active("late")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := s.DeleteServiceAccount(t.Context(), "late", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.ClearFaults()
		time.Sleep(2 * time.Minute)
		if _, err := s.GetServiceAccount(t.Context(), "late", "default"); err != nil {
			t.Error(err)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A watch that the API server has forgotten is given up within two minutes, and
// nothing is lost.
func TestForgottenWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(active("ns"))
		forgotten := 0
		s.client.PrependWatchReactor("serviceaccounts", func(clienttesting.Action) (bool, watch.Interface, error) {
			forgotten++
			return forgotten == 1, watch.NewFake(), nil
		})
		p := newProgram(t, s)
		p.start(t)
		if err := s.DeleteServiceAccount(t.Context(), "ns", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := s.GetServiceAccount(t.Context(), "ns", "default"); err != nil {
			t.Error(err)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
}
