package compat

import (
	"testing"

	"github.com/kubesa/serviceaccount/fake/clustertest"
	"github.com/kubesa/serviceaccount/keys"
)

// A real API server keeps every promise that the fake is checked for: the fake
// is only trusted for what the real one also does.
func TestPromises(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	clustertest.Run(t, func(*testing.T) clustertest.Cluster { return e.ours })
}
