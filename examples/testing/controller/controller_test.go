package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/examples/testing/controller"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// newCluster returns a namespace with two accounts and the Secret, and another
// that has no Secret.
func newCluster() *fake.Cluster {
	return fake.New(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "other"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: controller.PullSecret}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "default"}},
	)
}

// pulls returns the names of the pull secrets of an account.
func pulls(t *testing.T, cluster *fake.Cluster, namespace, name string) []string {
	t.Helper()
	account, err := cluster.GetServiceAccount(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ref := range account.ImagePullSecrets {
		names = append(names, ref.Name)
	}
	return names
}

// Whatever goes wrong on the way, the end is the same.
func TestPullSecrets(t *testing.T) {
	tests := []struct {
		name  string
		fault *fault.Fault // nil for none
		lag   uint64       // how many revisions the cache is behind
	}{
		{name: "good"},
		{name: "somebody else writes first, twice", fault: fault.First(2, "update", "serviceaccounts", fault.Conflict)},
		{name: "the answer to a write is lost", fault: fault.Nth(1, "update", "serviceaccounts", fault.AnswerLost)},
		{name: "the API server is down for a while", fault: fault.First(20, "", "", fault.Timeout)},
		{name: "a read fails with something unknown", fault: fault.Nth(1, "get", "secrets", errors.New("connection reset"))},
		{name: "some reads are stale", fault: fault.First(4, "get", "serviceaccounts", fault.Stale(2))},
		{name: "the cache lags", lag: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cluster := newCluster()
			if tt.fault != nil {
				cluster.Inject(tt.fault)
			}
			reader := cluster.Reader()
			reader.Lag(tt.lag)
			c := &controller.PullSecrets{Reader: reader, Client: cluster}
			if tt.lag == 0 {
				c.Reader = cluster // so that faults meet its reads
			}
			if err := cluster.Settle(t.Context(), c); err != nil {
				t.Fatalf("the controller doesn't come to rest: %v\n%s", err, fake.FormatActions(cluster.Actions()))
			}
			if unfired := cluster.Unfired(); len(unfired) > 0 { // then nothing was tested
				t.Errorf("faults that never fired: %v", unfired)
			}
			cluster.ClearFaults()
			for account, want := range map[string][]string{"cart": {"registry"}, "default": {"other", "registry"}} {
				if got := pulls(t, cluster, "shop", account); !slices.Equal(got, want) {
					t.Errorf("shop/%s pulls with %q, want %q\n%s", account, got, want, fake.FormatActions(cluster.Actions()))
				}
			}
			if got := pulls(t, cluster, "lab", "default"); got != nil {
				t.Errorf("lab/default pulls with %q, want none", got)
			}

			// What is settled stays so, without another write.
			cluster.ClearActions()
			if err := cluster.Settle(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if writes := cluster.Writes(); len(writes) > 0 {
				t.Errorf("after it came to rest, the controller writes:\n%s", fake.FormatActions(writes))
			}
		})
	}
}

// An outage that doesn't end is an error of Settle; the next one goes on.
func TestOutage(t *testing.T) {
	cluster := newCluster()
	cluster.Inject(fault.On("update", "serviceaccounts", fault.Timeout))
	c := &controller.PullSecrets{Reader: cluster, Client: cluster}
	var unsettled *fake.UnsettledError
	if err := cluster.Settle(t.Context(), c); !errors.As(err, &unsettled) {
		t.Fatalf("Settle() = %v, want an UnsettledError", err)
	}
	cluster.ClearFaults()
	if err := cluster.Settle(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := pulls(t, cluster, "shop", "cart"); !slices.Equal(got, []string{"registry"}) {
		t.Errorf("after the outage shop/cart pulls with %q, want %q", got, "registry")
	}
}

// The log of the fake says what happened, in order: here the answer to a write
// was lost, and the controller found out that nothing was left to do.
func Example() {
	cluster := newCluster()
	cluster.Inject(fault.Nth(1, "update", "serviceaccounts", fault.AnswerLost))
	err := cluster.Settle(context.Background(), &controller.PullSecrets{Reader: cluster, Client: cluster})
	fmt.Print(fake.FormatActions(cluster.Writes()))
	fmt.Println(err)
	// Output:
	// pull-secrets: update serviceaccounts shop/cart: Timeout: request did not complete within the allowed duration [fault: call 1 of update serviceaccounts: answer lost]
	// pull-secrets: update serviceaccounts shop/default
	// <nil>
}
