// Package cabundle keeps a CA bundle that can be changed while it is in use.
package cabundle

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Check returns nil if data is a CA bundle that can be published: PEM
// blocks of X.509 certificates, at least one, and nothing that looks like a
// truncated block. Otherwise its error says what is wrong. Call it on the content
// of a file before using it: a file can be read while it is being written.
func Check(data []byte) error {
	_, err := parse(data)
	return err
}

// A certificate is one of a bundle.
type certificate struct {
	*x509.Certificate
	headers bool // of its PEM block
}

func parse(data []byte) ([]certificate, error) {
	var all []certificate
	block, rest := pem.Decode(data)
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("CA bundle has a block of type %q, want CERTIFICATE only", block.Type)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CA bundle: certificate %d: %v", len(all)+1, err)
		}
		all = append(all, certificate{parsed, len(block.Headers) > 0})
	}
	// What is left may be a comment, but no part of a marker line.
	if bytes.Count(data, []byte("-----BEGIN")) != len(all) || bytes.HasPrefix(rest, []byte("-")) || bytes.Contains(rest, []byte("\n-")) {
		return nil, fmt.Errorf("CA bundle has a damaged block beside %d certificates, want it complete", len(all))
	}
	if len(all) == 0 {
		return nil, errors.New("CA bundle holds no certificate, want at least one in PEM")
	}
	return all, nil
}

// maxAnchors is how many bytes a ClusterTrustBundle may have.
const maxAnchors = 1 << 20

// CheckAnchors is Check for the content of a ClusterTrustBundle, which the API server
// restricts further: the certificates are those of CAs, each once, and their PEM blocks
// have no headers (CTB-23, CTB-24).
func CheckAnchors(data []byte) error {
	all, err := parse(data)
	if err != nil {
		return err
	}
	if len(data) > maxAnchors {
		return fmt.Errorf("CA bundle has %d bytes, want at most %d in a ClusterTrustBundle", len(data), maxAnchors)
	}
	seen := map[string]int{}
	for i, c := range all {
		n, first := i+1, seen[string(c.Raw)]
		switch {
		case c.headers:
			return fmt.Errorf("CA bundle: certificate %d has PEM headers, want none in a ClusterTrustBundle", n)
		case !c.IsCA:
			return fmt.Errorf("CA bundle: certificate %d, %.100q, is not that of a CA, want only those in a ClusterTrustBundle", n, c.Subject)
		case first > 0:
			return fmt.Errorf("CA bundle: certificate %d, %.100q, is the same as %d, want each once in a ClusterTrustBundle", n, c.Subject, first)
		}
		seen[string(c.Raw)] = n
	}
	return nil
}

// Named returns a check like another one, whose errors begin with pkg.
func Named(pkg string, check func([]byte) error) func([]byte) error {
	return func(data []byte) error {
		if err := check(data); err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		return nil
	}
}

// A Bundle is a CA bundle that can be changed while it is in use, and the channel
// of resyncs. It is safe for concurrent use.
type Bundle struct {
	of     func(ctx context.Context) []byte // or nil
	check  func([]byte) error
	resync chan struct{} // of capacity 1

	mu   sync.RWMutex
	data []byte // replaced, never changed
}

// New returns a Bundle of data, which isn't checked. What replaces it is, with check. What
// of returns for a context, unless it is nil or returns nothing, takes its place there.
func New(data []byte, of func(ctx context.Context) []byte, check func([]byte) error) *Bundle {
	return &Bundle{of: of, check: check, resync: make(chan struct{}, 1), data: slices.Clone(data)}
}

// Get returns the bundle for ctx, to be read only.
func (b *Bundle) Get(ctx context.Context) []byte {
	if b.of != nil {
		if own := b.of(ctx); len(own) > 0 {
			return own
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.data
}

// Set replaces the bundle, unless it is rejected, and asks for a resync if it is
// another one.
func (b *Bundle) Set(data []byte) error {
	if err := b.check(data); err != nil {
		return err
	}
	b.mu.Lock()
	changed := !bytes.Equal(b.data, data)
	b.data = slices.Clone(data)
	b.mu.Unlock()
	if changed {
		b.Notify()
	}
	return nil
}

// Notify asks for a resync.
func (b *Bundle) Notify() {
	select {
	case b.resync <- struct{}{}:
	default: // one is due already
	}
}

// Resync returns the channel that receives a value when a resync is due.
func (b *Bundle) Resync() <-chan struct{} { return b.resync }
