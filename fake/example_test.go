package fake_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// The zero Cluster is an empty cluster.
func Example() {
	ctx := context.Background()
	c := fake.Cluster{UIDSeed: 1} // for UIDs that are the same each time
	_, err := c.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}})
	fmt.Println(err)

	_, err = c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	account, err := c.CreateServiceAccount(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", GenerateName: "builder-"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(account.Name, account.UID, account.ResourceVersion)

	// Output:
	// namespaces "ci" not found
	// builder-ngzvv 00000000-0000-4000-8000-000000000002 2
}

func ExampleNew() {
	c := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1234"}},
	)
	account, err := c.GetServiceAccount(context.Background(), "ci", "builder")
	fmt.Println(account.UID, err)
	_, err = c.GetServiceAccount(context.Background(), "ci", "default")
	fmt.Println(apierrors.IsNotFound(err), err)

	// Output:
	// 1234 <nil>
	// true serviceaccounts "default" not found
}

// Two updates are refused as if somebody else had written first, and the answer
// to the third is lost, although it happened.
func ExampleCluster_Inject() {
	ctx := context.Background()
	c := fake.New(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}})
	c.Inject(fault.First(2, "update", "secrets", fault.Conflict))
	c.Inject(fault.Nth(3, "update", "secrets", fault.AnswerLost))

	secret, err := c.GetSecret(ctx, "ci", "password")
	for err == nil || apierrors.IsConflict(err) {
		secret.Data = map[string][]byte{"value": []byte("hunter2")}
		_, err = c.UpdateSecret(ctx, secret)
	}
	fmt.Print(fake.FormatActions(c.Actions()))

	secret, err = c.GetSecret(ctx, "ci", "password")
	fmt.Println(len(secret.Data), err)

	// Output:
	// get secrets ci/password
	// update secrets ci/password: Operation cannot be fulfilled on secrets "password": the object has been modified; please apply your changes to the latest version and try again [fault: first 2 of update secrets: conflict]
	// update secrets ci/password: Operation cannot be fulfilled on secrets "password": the object has been modified; please apply your changes to the latest version and try again [fault: first 2 of update secrets: conflict]
	// update secrets ci/password: Timeout: request did not complete within the allowed duration [fault: call 3 of update secrets: answer lost]
	// 1 <nil>
}

// stamper labels every ServiceAccount.
type stamper struct{ client *fake.Cluster }

func (stamper) Name() string { return "stamper" }

func (stamper) Due(event sacontroller.Change) []sacontroller.Key {
	account, ok := event.Object.(*corev1.ServiceAccount)
	if !ok || event.Type == watch.Deleted {
		return nil
	}
	return []sacontroller.Key{{Kind: "ServiceAccount", Namespace: account.Namespace, Name: account.Name}}
}

func (s stamper) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	account, err := s.client.GetServiceAccount(ctx, key.Namespace, key.Name)
	if err != nil || account.Labels["stamped"] == "yes" {
		return sacontroller.Result{}, err
	}
	account.Labels = map[string]string{"stamped": "yes"}
	_, err = s.client.UpdateServiceAccount(ctx, account)
	return sacontroller.Result{}, err
}

// Settle drives controllers until nothing is left to do, through faults too.
func ExampleCluster_Settle() {
	ctx := context.Background()
	c := fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "default"}},
	)
	c.Inject(fault.Nth(1, "update", "serviceaccounts", fault.Timeout))
	if err := c.Settle(ctx, stamper{c}); err != nil {
		fmt.Println(err)
	}
	fmt.Print(fake.FormatActions(c.Writes()))

	// Output:
	// stamper: update serviceaccounts ci/builder: Timeout: request did not complete within the allowed duration [fault: call 1 of update serviceaccounts: timeout]
	// stamper: update serviceaccounts ci/default
	// stamper: update serviceaccounts ci/builder
}

// A Reader is a cache; here it is one revision behind.
func ExampleCluster_Reader() {
	ctx := context.Background()
	c := fake.New()
	r := c.Reader()
	r.Lag(1)
	for _, name := range []string{"blue", "green"} {
		if _, err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			fmt.Println(err)
		}
	}
	_, err := r.GetNamespace(ctx, "green")
	fmt.Println(err)
	r.CatchUp()
	green, err := r.GetNamespace(ctx, "green")
	fmt.Println(green.Name, err)

	// Output:
	// namespaces "green" not found
	// green <nil>
}

func ExampleCluster_Watch() {
	ctx := context.Background()
	c := fake.New(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "settings"}})
	w, err := c.Watch(ctx, "configmaps", "ci", metav1.ListOptions{ResourceVersion: c.Revision()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()
	if err := c.DeleteConfigMap(ctx, "ci", "settings", metav1.DeleteOptions{}); err != nil {
		fmt.Println(err)
	}
	event, err := w.Next(ctx)
	fmt.Println(event.Type, event.Object.(*corev1.ConfigMap).ResourceVersion, err)

	// Output:
	// DELETED 3 <nil>
}

// A Namespace that is being deleted refuses new content. Settle lets it go.
func ExampleCluster_DeleteNamespace() {
	ctx := context.Background()
	c := fake.New(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}})
	if err := c.DeleteNamespace(ctx, "ci", metav1.DeleteOptions{}); err != nil {
		fmt.Println(err)
	}
	_, err := c.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "late"}})
	fmt.Println(apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), err)

	if err := c.Settle(ctx); err != nil {
		fmt.Println(err)
	}
	_, err = c.GetNamespace(ctx, "ci")
	fmt.Println(err)

	// Output:
	// true secrets "late" is forbidden: unable to create new content in namespace ci because it is being terminated
	// namespaces "ci" not found
}

// Time stands still unless the test moves it.
func ExampleCluster_now() {
	now := time.Date(2030, time.May, 1, 12, 0, 0, 0, time.UTC)
	c := fake.Cluster{Now: func() time.Time { return now }}
	ns, err := c.CreateNamespace(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	fmt.Println(ns.CreationTimestamp.UTC(), err)

	// Output:
	// 2030-05-01 12:00:00 +0000 UTC <nil>
}
