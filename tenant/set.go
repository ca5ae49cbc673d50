package tenant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A Set has a T for each tenant that has joined. The zero Set has none and is ready for
// use. It is safe for concurrent use and must not be copied after first use.
type Set[T any] struct {
	mu      sync.RWMutex
	members map[string]T
}

// An UnknownError means that a tenant hasn't joined, or has left. It says nothing of what
// was asked for: a lookup that fails with it is retryable.
type UnknownError struct {
	Name string // empty if the context named no tenant
}

func (e *UnknownError) Error() string {
	if e.Name == "" {
		return "tenant: the context names no tenant"
	}
	return fmt.Sprintf("tenant: %q is unknown, want a tenant that has joined", e.Name)
}

// Join gives the tenant called name a member. It reports false, and changes nothing, if
// name is empty or has one already.
func (s *Set[T]) Join(name string, member T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.members[name]; ok || name == "" {
		return false
	}
	if s.members == nil {
		s.members = map[string]T{}
	}
	s.members[name] = member
	return true
}

// Leave removes the tenant called name, and returns the member that it had.
func (s *Set[T]) Leave(name string) (member T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	member, ok = s.members[name]
	delete(s.members, name)
	return member, ok
}

// Of returns the member of the tenant that ctx is of, or an [*UnknownError] if there is
// none.
func (s *Set[T]) Of(ctx context.Context) (T, error) {
	name := Of(ctx)
	s.mu.RLock()
	defer s.mu.RUnlock()
	member, ok := s.members[name]
	if !ok {
		return member, &UnknownError{name}
	}
	return member, nil
}

// Names returns the names of the tenants, sorted.
func (s *Set[T]) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.members))
}
