package fake_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
)

// A test plays the scheduler.
func ExampleCluster_BindPod() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "build-1"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "build", Image: "golang"}}},
	})
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "build-1"},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "node-1"},
	}
	fmt.Println(cluster.BindPod(ctx, binding, metav1.CreateOptions{}))
	pod, err := cluster.GetPod(ctx, "ci", "build-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pod.Spec.NodeName)
	fmt.Println(cluster.BindPod(ctx, binding, metav1.CreateOptions{}))

	// Output:
	// <nil>
	// node-1
	// Operation cannot be fulfilled on pods "build-1": pod build-1 is already assigned to node "node-1"
}

// A Watch as informers take it.
func ExampleWatch_Interface() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	w, err := cluster.Watch(ctx, "namespaces", "", metav1.ListOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var events watch.Interface = w.Interface(ctx)
	event := <-events.ResultChan()
	fmt.Println(event.Type, event.Object.(*corev1.Namespace).Name)
	events.Stop()

	// Output:
	// ADDED ci
}

// lastWriter is a FieldManager without a schema: it knows only who wrote last.
type lastWriter struct{}

func (lastWriter) Update(_, next fake.Object, _, manager string) (fake.Object, error) {
	next.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate}})
	return next, nil
}

func (lastWriter) Apply(fake.Object, *unstructured.Unstructured, string, string, bool) (fake.Object, error) {
	return nil, apierrors.NewBadRequest("nothing is applied here")
}

// A Cluster that remembers who wrote. Package fake/apiserver/fieldmanager has a
// manager with the schema of the API, so that server-side apply works.
func ExampleCluster_ManageFields() {
	ctx := context.Background()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	cluster.ManageFields(lastWriter{})
	account, err := cluster.CreateServiceAccount(fake.WithActor(ctx, "provisioner"), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(account.ManagedFields[0].Manager)

	// Output:
	// provisioner
}
