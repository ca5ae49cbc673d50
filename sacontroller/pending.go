package sacontroller

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// pending remembers, by the UID of the account, the name of the token Secret that
// is being generated for it, from before the create until the account lists the
// Secret or the Secret is gone. Whatever fails in between, the next attempt finds
// it again, however far behind the Reader is. It is safe for concurrent use.
type pending struct {
	mu    sync.Mutex
	names map[types.UID]string
}

func (p *pending) set(account types.UID, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[types.UID]string{}
	}
	p.names[account] = name
}

// get returns the empty name if there is none.
func (p *pending) get(account types.UID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[account]
}

func (p *pending) forget(account types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.names, account)
}
