package fault_test

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// getPassword reads the Secret n times and prints what becomes of it.
func getPassword(faults *fault.Fault, n int) {
	c := fake.New(password())
	c.Inject(faults)
	for range n {
		_, err := c.GetSecret(context.Background(), "ci", "password")
		fmt.Println(err)
	}
}

// An API server that is overloaded for two calls.
func ExampleFirst() {
	getPassword(fault.First(2, "get", "secrets", fault.Timeout), 3)

	// Output:
	// Timeout: request did not complete within the allowed duration
	// Timeout: request did not complete within the allowed duration
	// <nil>
}

// Only the second call fails.
func ExampleNth() {
	getPassword(fault.Nth(2, "get", "secrets", fault.Timeout), 3)

	// Output:
	// <nil>
	// Timeout: request did not complete within the allowed duration
	// <nil>
}

// An outage: every call fails until the fault is cleared. Empty strings stand
// for all verbs and resources.
func ExampleOn() {
	c := fake.New(password())
	c.Inject(fault.On("", "", fault.Timeout))
	_, err := c.GetSecret(context.Background(), "ci", "password")
	fmt.Println(err)
	c.ClearFaults()
	_, err = c.GetSecret(context.Background(), "ci", "password")
	fmt.Println(err)

	// Output:
	// Timeout: request did not complete within the allowed duration
	// <nil>
}

// Two faults in one: the first that fails the call decides.
func ExampleAny() {
	getPassword(fault.Any(
		fault.Nth(1, "get", "secrets", fault.NotFound),
		fault.First(2, "get", "", fault.Timeout),
	), 3)

	// Output:
	// secrets "password" not found
	// Timeout: request did not complete within the allowed duration
	// <nil>
}

// Fail the calls of one controller on one object.
func ExampleIf() {
	c := fake.New(password())
	c.Inject(fault.If("cleaner and the password", func(op fault.Op) bool {
		return op.Actor == "cleaner" && op.Name == "password"
	}, fault.Conflict))
	ctx := context.Background()
	fmt.Println(c.DeleteSecret(fake.WithActor(ctx, "cleaner"), "ci", "password", metav1.DeleteOptions{}))
	fmt.Println(c.DeleteSecret(fake.WithActor(ctx, "user"), "ci", "password", metav1.DeleteOptions{}))

	// Output:
	// Operation cannot be fulfilled on secrets "password": the object has been modified; please apply your changes to the latest version and try again
	// <nil>
}

// Fail the calls for one object.
func ExampleFault_Of() {
	c := fake.New(password())
	c.Inject(fault.On("delete", "secrets", fault.Timeout).Of("ci", "other"))
	fmt.Println(c.DeleteSecret(context.Background(), "ci", "password", metav1.DeleteOptions{}))

	// Output:
	// <nil>
}

// A function decides about each call.
func ExampleFunc() {
	calls := 0
	getPassword(fault.Func("every second read", func(op fault.Op) error {
		if calls++; calls%2 == 0 {
			return fault.Timeout
		}
		return nil
	}), 2)

	// Output:
	// <nil>
	// Timeout: request did not complete within the allowed duration
}

// A misspelt verb or resource panics, where a test would pass without a fault.
func ExampleOn_misspelt() {
	defer func() { fmt.Println(recover()) }()
	fault.On("get", "configmap/status", fault.Timeout)

	// Output:
	// fault: On("get", "configmap/status"): no resource "configmap/status", want one of namespaces, namespaces/status, namespaces/finalize, nodes, nodes/status, serviceaccounts, serviceaccounts/token, secrets, pods, pods/status, pods/ephemeralcontainers, pods/resize, pods/eviction, pods/binding, configmaps, clustertrustbundles, events, tokenreviews, selfsubjectreviews, /.well-known/openid-configuration, /openid/v1/jwks, or none for all
}

// Faults for a fake API of one's own.
func ExampleSet() {
	var faults fault.Set
	faults.Inject(fault.First(1, "get", "secrets", fault.Conflict))
	faults.Inject(fault.On("list", "secrets", fault.Conflict))
	for range 2 {
		out := faults.Decide(fault.Op{Verb: "get", Resource: "secrets", Name: "password"})
		fmt.Println(out.Err)
	}
	fmt.Println("never fired:", faults.Unfired())

	// Output:
	// Operation cannot be fulfilled on secrets "password": the object has been modified; please apply your changes to the latest version and try again
	// <nil>
	// never fired: [every list secrets: conflict]
}
