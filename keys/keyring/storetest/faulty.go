package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/kubesa/serviceaccount/keys/keyring"
)

// ErrFault is the error of a [Faulty] call.
var ErrFault = errors.New("storetest: the store failed")

// A Fault is what happens to one call of a [Faulty] store.
type Fault string

// The faults.
const (
	None       Fault = ""
	Refused    Fault = "Refused"    // nothing was done
	LostAnswer Fault = "LostAnswer" // a Swap was made, nobody knows
	Conflict   Fault = "Conflict"   // a Swap is told that others were faster
)

// A Faulty is a Store whose calls fail as Next says. It is safe for concurrent use.
type Faulty struct {
	keyring.Store

	mu   sync.Mutex
	next func(call string) Fault
}

// NewFaulty returns a Store that asks next, one call at a time, what happens to a "Load" or
// "Swap" of store.
func NewFaulty(store keyring.Store, next func(call string) Fault) *Faulty {
	return &Faulty{Store: store, next: next}
}

func (f *Faulty) fault(call string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next(call)
}

// Load implements [keyring.Store].
func (f *Faulty) Load(ctx context.Context) (*keyring.Stored, error) {
	if f.fault("Load") != None {
		return nil, ErrFault
	}
	return f.Store.Load(ctx)
}

// Swap implements [keyring.Store].
func (f *Faulty) Swap(ctx context.Context, version string, change keyring.Change) (string, error) {
	switch f.fault("Swap") {
	case Refused:
		return "", ErrFault
	case Conflict:
		return "", keyring.ErrConflict
	case LostAnswer:
		if _, err := f.Store.Swap(ctx, version, change); err != nil {
			return "", err
		}
		return "", ErrFault
	}
	return f.Store.Swap(ctx, version, change)
}
