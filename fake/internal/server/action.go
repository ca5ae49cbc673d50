package server

import (
	"sync"

	"github.com/kubesa/serviceaccount/fake/fault"
)

// An Action is one call of the API and what became of it.
type Action struct {
	fault.Op
	Err      error
	Fault    string // that the call met
	Revision uint64 // after the call
}

// ActionsFrom returns the actions from the one with the number n, which aren't forgotten,
// and the number of the next. The first has the number 0.
func (s *Server) ActionsFrom(n int) (actions []Action, next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = s.forgotten + len(s.actions)
	return s.actions[min(max(0, n-s.forgotten), len(s.actions)):], next
}

// ClearActions forgets the actions so far.
func (s *Server) ClearActions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten += len(s.actions)
	s.actions = nil
}

// Faults are those of a Server or of a Reader, under the lock of the Server.
type Faults struct {
	mu  *sync.Mutex
	set fault.Set
}

// Inject adds f; see [fault.Set.Inject].
func (f *Faults) Inject(added *fault.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set.Inject(added)
}

// Clear removes all.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set.Clear()
}

// Unfired returns those that never fired.
func (f *Faults) Unfired() []*fault.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set.Unfired()
}
