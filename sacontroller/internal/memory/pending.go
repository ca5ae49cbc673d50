package memory

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Pending remembers, by the UID of the account, the name of the token Secret that
// is being generated for it, from before the create until the account lists the
// Secret or the Secret is deleted. Whatever fails in between, the next attempt finds
// it again, however stale the Reader is. It is safe for concurrent use.
type Pending struct {
	mu    sync.Mutex
	names map[types.UID]string
}

// Set remembers name for account.
func (p *Pending) Set(account types.UID, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[types.UID]string{}
	}
	p.names[account] = name
}

// Get returns the empty name if there is none.
func (p *Pending) Get(account types.UID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[account]
}

// Forget forgets the name for account.
func (p *Pending) Forget(account types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.names, account)
}

// Len returns how many names are remembered.
func (p *Pending) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.names)
}
