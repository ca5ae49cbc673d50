package fake_test

import (
	"testing"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clustertest"
)

// The fake keeps the promises of a real cluster, and so does what FromCoreV1
// makes of its client-go face.
func TestPromises(t *testing.T) {
	t.Run("Cluster", func(t *testing.T) {
		clustertest.Run(t, func(*testing.T) clustertest.Cluster { return new(fake.Cluster) })
	})
	t.Run("CoreV1", func(t *testing.T) {
		clustertest.Run(t, func(*testing.T) clustertest.Cluster {
			return serviceaccount.FromCoreV1(new(fake.Cluster).CoreV1())
		})
	})
}
