package fake

// OpenWatches returns how many watches are open.
func (c *Cluster) OpenWatches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.watches)
}
