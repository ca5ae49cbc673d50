package flight

// Tenants returns of how many tenants g knows.
func (g *Guard) Tenants() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tenants)
}
