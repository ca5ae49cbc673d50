// Package server answers the calls of the fake cluster's API for objects of every kind:
// it asks the faults, reads and writes the store under its lock, and records what
// happened. What a request may do to an object is in package apirules.
//
// Objects that are returned are those that are stored: the caller must copy them. Objects
// that are sent are copied.
package server

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
	"github.com/kubesa/serviceaccount/fake/internal/uid"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A Server is an API server with its storage. It is safe for concurrent use.
type Server struct {
	Faults Faults // of its calls

	clock func() time.Time
	seed  func() uint64 // of UIDs, 0 without

	mu        sync.Mutex
	state     store.Store
	history   store.History
	uids      uid.Space
	names     uint64       // how many names were generated
	fields    FieldManager // nil: nobody owns fields
	forgotten int          // how many actions were before the first of actions
	actions   []Action
	readers   []*Reader
	watches   map[*Watch]bool // those that are open
}

// New returns an empty Server. The functions are called under its lock.
func New(clock func() time.Time, uidSeed func() uint64) *Server {
	s := &Server{clock: clock, seed: uidSeed}
	s.Faults.mu = &s.mu
	return s
}

// now returns the time of the server, as precisely as objects can say it.
func (s *Server) now() metav1.Time { return metav1.NewTime(s.clock().Truncate(time.Second)) }

// nextName returns a generated name that does not exist yet.
func (s *Server) nextName(k *object.Kind, namespace, base string) string {
	for {
		// A multiplier that has no factor with 27^5 visits every suffix once.
		s.names++
		name := tokensecret.GeneratedName(base, s.names*8831953%14348907)
		if _, exists := s.state.Get(k, namespace, name); !exists {
			return name
		}
	}
}

// commit stores o in place of old (nil for a new object), gives it the next
// resourceVersion and tells the watchers. o belongs to the Server from then on.
func (s *Server) commit(k *object.Kind, o, old object.Object) {
	o.SetResourceVersion(store.FormatRevision(s.history.Next()))
	s.change(&store.Change{Kind: k, Object: o, Old: old})
}

// expunge removes old for good, and returns its last state.
func (s *Server) expunge(k *object.Kind, old object.Object) object.Object {
	last := object.CopyOf(old)
	last.SetResourceVersion(store.FormatRevision(s.history.Next()))
	s.change(&store.Change{Kind: k, Object: last, Old: old, Deleted: true})
	return last
}

func (s *Server) change(ch *store.Change) {
	s.state.Apply(ch)
	s.history.Append(ch)
}

// Revision returns the resourceVersion of the last change, "0" if there was none.
func (s *Server) Revision() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.FormatRevision(s.history.Last())
}

// Stored returns an object as it is stored. It is not a call.
func (s *Server) Stored(k *object.Kind, namespace, name string) (object.Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Get(k, namespace, name)
}

// Look calls look while nothing changes, with what is stored and how it came.
func (s *Server) Look(look func(*store.Store, *store.History)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	look(&s.state, &s.history)
}

// Now returns the time of the server.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Time
}
