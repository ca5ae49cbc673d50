package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// A Store keeps a ring for all who have it open, in this process and in others: an index,
// which says what the keys do, and an entry for each key. What it holds are private keys:
// whoever reads it can sign tokens, and whoever writes it can have theirs accepted.
//
// Package keyring/storetest checks implementations. They must be safe for concurrent use.
type Store interface {
	// Load returns what is stored now. What it returned before isn't good enough: a
	// cached answer would take a ring back to keys that have been revoked.
	Load(ctx context.Context) (*Stored, error)

	// Swap makes a change to what is stored as version, and returns the next version. It
	// is atomic: every Load returns all of it or nothing, even if this process is killed.
	// If another version is stored, it changes nothing and returns an error that wraps
	// [ErrConflict]. Any other error leaves open whether the change was made.
	Swap(ctx context.Context, version string, change Change) (next string, err error)

	// Name returns what errors call an entry, such as the path of its file.
	Name(entry string) string
}

// ErrConflict means that a [Store] has another version than the one to be changed.
var ErrConflict = errors.New("keyring: the ring has been changed by others")

// A Stored is what a [Store] has at one time.
type Stored struct {
	// Version differs from that of anything else that was ever stored there. It may be
	// empty only if Index is.
	Version string

	// Index is JSON, without secrets. It is nil if no ring has been stored.
	Index []byte

	// Entry returns an entry that Index names: a key in PEM. Its content never changes.
	// The error for one that isn't there, for example because a later version has removed
	// it, wraps [fs.ErrNotExist].
	Entry func(name string) ([]byte, error)
}

// A Change is what becomes of a ring in one step. New entries are private keys, so
// whatever prints or encodes a Change leaves them out.
type Change struct {
	Index  []byte            // the next index
	Add    map[string][]byte // new entries, by name
	Remove []string          // entries that Index no longer names
}

// String returns the names of the entries.
func (c Change) String() string {
	return fmt.Sprintf("keyring.Change(add %q, remove %q)", slices.Sorted(maps.Keys(c.Add)), c.Remove)
}

// Format writes what String returns, whatever the verb.
func (c Change) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// MarshalText returns what String returns.
func (c Change) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalBinary is MarshalText for encoding/gob.
func (c Change) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// A Memory is a [Store] in memory, for the rings of one process: in tests, replicas that
// share one. Its zero value is empty and ready to use. It is safe for concurrent use and
// must not be copied after first use.
type Memory struct {
	mu      sync.Mutex
	version int
	index   []byte
	entries map[string][]byte
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context) (*Stored, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := m.entries // replaced, never changed
	return &Stored{m.current(), slices.Clone(m.index), func(name string) ([]byte, error) {
		data, ok := entries[name]
		if !ok {
			return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
		}
		return slices.Clone(data), nil
	}}, nil
}

func (m *Memory) current() string {
	if m.version == 0 {
		return ""
	}
	return strconv.Itoa(m.version)
}

// Swap implements [Store].
func (m *Memory) Swap(ctx context.Context, version string, change Change) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if version != m.current() {
		return "", ErrConflict
	}
	entries := map[string][]byte{}
	maps.Copy(entries, m.entries)
	for name, data := range change.Add {
		entries[name] = slices.Clone(data)
	}
	for _, name := range change.Remove {
		delete(entries, name)
	}
	m.version++
	m.index, m.entries = slices.Clone(change.Index), entries
	return m.current(), nil
}

// Name implements [Store].
func (m *Memory) Name(entry string) string { return entry + " in memory" }

// String says nothing of the keys.
func (m *Memory) String() string { return fmt.Sprintf("keyring.Memory(%p)", m) }

// Format writes what String returns, whatever the verb.
func (m *Memory) Format(f fmt.State, _ rune) { fmt.Fprint(f, m.String()) }
