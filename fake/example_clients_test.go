package fake_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// A Reader reads from a cache: its reads are no calls of the API, and faults of
// its own can be injected.
func ExampleReader() {
	ctx := context.Background()
	c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
	r := c.Reader()
	namespace, err := r.GetNamespace(ctx, "ci")
	fmt.Println(namespace.Name, err, len(c.Actions()))

	r.Inject(fault.First(1, "get", "namespaces", fault.Timeout))
	_, err = r.GetNamespace(ctx, "ci")
	fmt.Println(err)

	// Output:
	// ci <nil> 0
	// Timeout: request did not complete within the allowed duration
}

// A Watch has the changes in order. None is lost between two calls of Next.
func ExampleWatch() {
	ctx := context.Background()
	c := fake.New()
	w, err := c.Watch(ctx, "namespaces", "", metav1.ListOptions{ResourceVersion: c.Revision()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()
	for _, name := range []string{"blue", "green"} {
		if _, err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			fmt.Println(err)
		}
	}
	for range 2 {
		event, err := w.Next(ctx)
		fmt.Println(event.Type, event.Object.(*corev1.Namespace).Name, err)
	}

	// Output:
	// ADDED blue <nil>
	// ADDED green <nil>
}

// Test code that is written for client-go's CoreV1(), with its options.
func ExampleCoreV1() {
	ctx := context.Background()
	c := fake.New(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "blue", Labels: map[string]string{"color": "blue"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "green", Labels: map[string]string{"color": "green"}}},
	)
	secrets := c.CoreV1().Secrets("ci")
	list, err := secrets.List(ctx, metav1.ListOptions{LabelSelector: "color=green"})
	fmt.Println(len(list.Items), list.Items[0].Name, err)

	err = secrets.Delete(ctx, "green", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	fmt.Println(err)
	green, err := secrets.Get(ctx, "green", metav1.GetOptions{})
	fmt.Println(green.Name, err)

	// Output:
	// 1 green <nil>
	// <nil>
	// green <nil>
}

// Read objects of a kind that is known by name only.
func ExampleCluster_Resource() {
	ctx := context.Background()
	c := fake.New(password())
	for _, resource := range []string{"secrets", "namespaces", "deployments"} {
		r := c.Resource(resource)
		if r == nil {
			fmt.Println(resource, "not served")
			continue
		}
		list, _, err := r.List(ctx, "", metav1.ListOptions{})
		fmt.Println(resource, len(list), err)
	}

	// Output:
	// secrets 1 <nil>
	// namespaces 1 <nil>
	// deployments not served
}

// An Authority that can't work is an error.
func ExampleNewAuthority() {
	_, err := fake.NewAuthority(fake.AuthorityConfig{Issuer: "kubernetes"})
	fmt.Println(err)

	// Output:
	// fake: AuthorityConfig.Issuer is "kubernetes", want an https URL
}

// password is a Secret for examples.
func password() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "password"}}
}

// Record who makes a call.
func ExampleWithActor() {
	c := fake.New(password())
	ctx := fake.WithActor(context.Background(), "cleaner")
	if err := c.DeleteSecret(ctx, "ci", "password", metav1.DeleteOptions{}); err != nil {
		fmt.Println(err)
	}
	for _, action := range c.Actions() {
		fmt.Println(action.Actor, action.Verb, action.Resource, action.Name)
	}

	// Output:
	// cleaner delete secrets password
}

// Show in the message of a failed test which calls there were.
func ExampleFormatActions() {
	c := fake.New(password())
	for _, name := range []string{"password", "token", "token", "token", "token", "token"} {
		_, err := c.GetSecret(context.Background(), "ci", name)
		_ = err // the actions have it
	}
	fmt.Print(fake.FormatActions(c.Actions()))

	// Output:
	// get secrets ci/password
	// get secrets ci/token: secrets "token" not found
	// … and the same 4 more times
}

// A test that injects faults asks whether they fired.
func ExampleCluster_Unfired() {
	c := fake.New(password())
	c.Inject(fault.First(1, "get", "secrets", fault.Timeout))
	c.Inject(fault.On("create", "serviceaccounts/token", fault.AnswerLost))
	_, err := c.GetSecret(context.Background(), "ci", "password")
	fmt.Println(err)
	fmt.Println("never fired:", c.Unfired())

	// Output:
	// Timeout: request did not complete within the allowed duration
	// never fired: [every create serviceaccounts/token: answer lost]
}

// A server that is built on a Cluster records what it answers itself.
func ExampleCluster_Do() {
	c := fake.New(password())
	op := fault.Op{Verb: "create", Resource: "selfsubjectreviews"}
	err := c.Do(fake.WithActor(context.Background(), "user"), op, func(context.Context) error {
		return nil // the answer
	})
	fmt.Println(err)
	fmt.Print(fake.FormatActions(c.Actions()))

	// Output:
	// <nil>
	// user: create selfsubjectreviews
}
