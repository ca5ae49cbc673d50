// Package uid gives UIDs that no other cluster gives, or that a seed repeats.
package uid

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
)

// unseeded counts the Clusters of this process that give UIDs without a seed, from a
// number that no other process has.
var (
	unseeded atomic.Uint64
	process  = sync.OnceValue(func() uint64 {
		var number [8]byte
		_, _ = rand.Read(number[:]) // it never fails
		return binary.BigEndian.Uint64(number[:])
	})
)

// A Space gives UIDs that no other Space gives. It is not safe for concurrent use.
type Space struct {
	number uint64 // of the space, once chosen
	kind   uint64 // 8 for the space of a seed, 9 for that of one Cluster
	given  uint64
	taken  map[types.UID]bool // came with loaded objects
}

// Take keeps Next from giving uid.
func (s *Space) Take(uid types.UID) {
	if s.taken == nil {
		s.taken = map[types.UID]bool{}
	}
	s.taken[uid] = true
}

// Next returns a UID of the form of RFC 9562, version 4, but without its randomness:
// it says of which space it is, and the how many-th.
func (s *Space) Next(seed uint64) types.UID {
	if s.kind == 0 {
		s.number, s.kind = seed-1, 8
		if seed == 0 {
			s.number, s.kind = process()+unseeded.Add(1), 9
		}
	}
	for {
		s.given++
		n := s.number
		uid := types.UID(fmt.Sprintf("%08x-%04x-4%03x-%x%x00-%012x", n&0xffffffff, n>>32&0xffff, n>>48&0xfff, s.kind, n>>60, s.given))
		if !s.taken[uid] {
			return uid
		}
	}
}
