package clustertest_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// The test of an implementation is one line, and has a subtest for each promise.
func ExampleRun() {
	testCluster := func(t *testing.T) { // func TestCluster(t *testing.T) {
		clustertest.Run(t, func(*testing.T) clustertest.Cluster { return new(fake.Cluster) })
	}
	_ = testCluster
}

// lastWriteWins is a cluster whose updates of Secrets overwrite each other.
type lastWriteWins struct{ *fake.Cluster }

func (c lastWriteWins) UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	secret = secret.DeepCopy()
	secret.ResourceVersion = ""
	return c.Cluster.UpdateSecret(ctx, secret)
}

// What Run reports as failed subtests, a program can find out itself.
func ExamplePromises() {
	for _, p := range clustertest.Promises() {
		if err := p.Check(context.Background(), lastWriteWins{new(fake.Cluster)}); err != nil {
			fmt.Println(p.Name)
		}
	}

	// Output:
	// an update with an old resourceVersion is a Conflict and changes nothing
}
