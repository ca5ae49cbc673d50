package fake

import "github.com/kubesa/serviceaccount/fake/fault"

// Inject adds a fault to the calls of c, [fault.Set.Inject] says how. It panics if
// f is nil.
func (c *Cluster) Inject(f *fault.Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.Inject(f)
}

// ClearFaults removes all faults: the cluster has recovered.
func (c *Cluster) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.Clear()
}

// Unfired returns the faults that were injected but never fired, cleared ones
// included. A test whose fault didn't fire has not tested it:
//
//	if unfired := cluster.Unfired(); len(unfired) > 0 {
//		t.Errorf("faults that never fired: %v", unfired)
//	}
func (c *Cluster) Unfired() []*fault.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults.Unfired()
}
