package fake_test

import (
	"testing"

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
