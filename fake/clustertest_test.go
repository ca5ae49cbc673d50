package fake_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// cached reads through a Reader, whose methods hide those of the Cluster below.
type cached struct {
	*fake.Reader
	writes
}

type writes struct{ *fake.Cluster }

// The fake keeps the promises of a real cluster, and so do what FromCoreV1 makes
// of its client-go face, and its Reader when it doesn't lag.
func TestPromises(t *testing.T) {
	for name, newCluster := range map[string]func(*testing.T) clustertest.Cluster{
		"Cluster": func(*testing.T) clustertest.Cluster { return new(fake.Cluster) },
		"CoreV1":  func(*testing.T) clustertest.Cluster { return serviceaccount.FromCoreV1(new(fake.Cluster).CoreV1()) },
		"Reader": func(*testing.T) clustertest.Cluster {
			c := new(fake.Cluster)
			return cached{c.Reader(), writes{c}}
		},
	} {
		t.Run(name, func(t *testing.T) { clustertest.Run(t, newCluster) })
	}
}

// What clustertest doesn't look at, and a comparison with a real API server has
// found.
func TestAnswersOfTheEnd(t *testing.T) {
	secret := tokenSecret("s", "builder")
	secret.Finalizers = []string{"example.com/keep"}
	pod := goodPod("p")
	pod.Spec.NodeName = "node-1"
	c := newCI(t, secret)
	must[*corev1.Pod](t)(c.CreatePod(t.Context(), pod))
	for _, err := range []error{
		c.DeleteSecret(t.Context(), "ci", "s", metav1.DeleteOptions{}),
		c.DeletePod(t.Context(), "ci", "p", metav1.DeleteOptions{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := must[*corev1.Pod](t)(c.GetPod(t.Context(), "ci", "p")).Generation; got != 2 {
		t.Errorf("a pod that was marked has generation %d, want 2", got)
	}
	_, err := c.CreateSecret(t.Context(), tokenSecret("s", "builder"))
	checkError(t, err, metav1.StatusReasonAlreadyExists, `object is being deleted: secrets "s" already exists`)
	_, err = c.PatchSecret(t.Context(), "ci", "s", types.MergePatchType, []byte(`{"metadata":{"namespace":"other"}}`))
	checkError(t, err, metav1.StatusReasonBadRequest, "the namespace of the provided object does not match the namespace sent on the request")

	watch, err := c.Watch(t.Context(), "secrets", "ci", metav1.ListOptions{ResourceVersion: c.Revision()})
	if err != nil {
		t.Fatal(err)
	}
	marked := must[*corev1.Secret](t)(c.GetSecret(t.Context(), "ci", "s"))
	marked.Finalizers = nil
	last := must[*corev1.Secret](t)(c.UpdateSecret(t.Context(), marked))
	events := watch.Pending()
	if len(last.Finalizers) > 0 || len(events) != 1 || len(events[0].Object.(*corev1.Secret).Finalizers) != 1 {
		t.Errorf("an update without finalizers gave %q, and the events %v; want none, and an event with the old ones", last.Finalizers, events)
	}
}
