package fake_test

import (
	"context"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount"
)

func TestCoreV1(t *testing.T) {
	c := newCI(t, &corev1.Node{ObjectMeta: meta("", "n1")}, secretNamed("s"))
	core := c.CoreV1()
	pods := core.Pods("ci")
	pod := goodPod("p")
	pod.Namespace = "" // the client knows it
	pod = must[*corev1.Pod](t)(pods.Create(t.Context(), pod, metav1.CreateOptions{}))
	pod.Status.Phase = corev1.PodRunning
	pod = must[*corev1.Pod](t)(pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))
	if got := must[*corev1.Pod](t)(pods.Get(t.Context(), "p", metav1.GetOptions{})); got.Status.Phase != corev1.PodRunning || got.Namespace != "ci" {
		t.Errorf("pod is %+v, want it running in ci", got)
	}
	_, err := core.Secrets("ci").UpdateStatus(t.Context(), secretNamed("s"), metav1.UpdateOptions{})
	checkError(t, err, metav1.StatusReasonNotFound, `secrets/status "s" not found`)
	_, err = core.Pods("cd").Update(t.Context(), pod, metav1.UpdateOptions{})
	checkError(t, err, metav1.StatusReasonBadRequest, "the namespace of the provided object does not match the namespace sent on the request")
	if err := pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "status.phase=Running"}); err != nil {
		t.Fatal(err)
	}
	if list := must[*corev1.PodList](t)(pods.List(t.Context(), metav1.ListOptions{})); len(list.Items) != 0 {
		t.Errorf("%d pods left, want none", len(list.Items))
	}
	if list := must[*corev1.NodeList](t)(core.Nodes().List(t.Context(), metav1.ListOptions{})); len(list.Items) != 1 {
		t.Errorf("%d nodes, want 1", len(list.Items))
	}
	if err := core.Nodes().Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// What is made for client-go works on the fake.
func TestFromCoreV1(t *testing.T) {
	c := newCI(t, tokenSecret("t", "builder"))
	real := serviceaccount.FromCoreV1(c.CoreV1())
	must[*corev1.ServiceAccount](t)(real.CreateServiceAccount(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta("ci", "builder")}))
	must[*corev1.ServiceAccount](t)(c.GetServiceAccount(t.Context(), "ci", "builder"))
	if found := must[[]*corev1.Secret](t)(real.TokenSecrets(t.Context(), "ci", "builder")); len(found) != 1 {
		t.Errorf("TokenSecrets() found %d, want 1", len(found))
	}
	must[[]*corev1.Namespace](t)(real.ListNamespaces(t.Context()))
	must[[]*corev1.ConfigMap](t)(real.ListConfigMaps(t.Context(), ""))
}

func TestWatchChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCI(t)
		ctx, cancel := context.WithCancel(t.Context())
		w := must[watch.Interface](t)(c.CoreV1().Secrets("ci").Watch(ctx, metav1.ListOptions{}))
		must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("a")))
		if event := <-w.ResultChan(); event.Type != watch.Added {
			t.Errorf("got %+v, want the new secret", event)
		}
		cancel()
		if event, ok := <-w.ResultChan(); ok {
			t.Errorf("got %+v after the end, want the channel closed", event)
		}

		w = must[watch.Interface](t)(c.CoreV1().Secrets("ci").Watch(t.Context(), metav1.ListOptions{}))
		synctest.Wait() // it now tries to send the secret
		w.Stop()
		synctest.Wait()
		w.Stop()
	})
}
