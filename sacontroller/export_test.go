package sacontroller

// Pending returns for how many accounts c remembers a Secret that it is generating.
func (c *Tokens) Pending() int {
	c.pending.mu.Lock()
	defer c.pending.mu.Unlock()
	return len(c.pending.names)
}
