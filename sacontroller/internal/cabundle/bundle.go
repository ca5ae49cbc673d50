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
	certificates := 0
	rest := data
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("sacontroller: CA bundle has a block of type %q, want CERTIFICATE only", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("sacontroller: CA bundle: certificate %d: %v", certificates+1, err)
		}
		certificates++
	}
	// What is left may be a comment, but no part of a marker line.
	if bytes.Count(data, []byte("-----BEGIN")) != certificates || bytes.HasPrefix(rest, []byte("-")) || bytes.Contains(rest, []byte("\n-")) {
		return fmt.Errorf("sacontroller: CA bundle has a damaged block beside %d certificates, want it complete", certificates)
	}
	if certificates == 0 {
		return errors.New("sacontroller: CA bundle holds no certificate, want at least one in PEM")
	}
	return nil
}

// maxAnchors is how many bytes a ClusterTrustBundle may have.
const maxAnchors = 1 << 20

// CheckAnchors is Check for the content of a ClusterTrustBundle, which the API server
// restricts further: the certificates are those of CAs, each once, and their PEM blocks
// have no headers (CTB-23, CTB-24).
func CheckAnchors(data []byte) error {
	if err := Check(data); err != nil {
		return err
	}
	if len(data) > maxAnchors {
		return fmt.Errorf("sacontroller: CA bundle has %d bytes, want at most %d in a ClusterTrustBundle", len(data), maxAnchors)
	}
	seen := map[string]int{}
	block, rest := pem.Decode(data)
	for n := 1; block != nil; n++ {
		certificate, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return fmt.Errorf("sacontroller: CA bundle: certificate %d: %v", n, err)
		case len(block.Headers) > 0:
			return fmt.Errorf("sacontroller: CA bundle: certificate %d has PEM headers, want none in a ClusterTrustBundle", n)
		case !certificate.IsCA || !certificate.BasicConstraintsValid:
			return fmt.Errorf("sacontroller: CA bundle: certificate %d, %.100q, is not that of a CA, want only those in a ClusterTrustBundle", n, certificate.Subject)
		case seen[string(block.Bytes)] > 0:
			return fmt.Errorf("sacontroller: CA bundle: certificate %d, %.100q, is the same as %d, want each once in a ClusterTrustBundle", n, certificate.Subject, seen[string(block.Bytes)])
		}
		seen[string(block.Bytes)] = n
		block, rest = pem.Decode(rest)
	}
	return nil
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
	if changed {
		b.data = slices.Clone(data)
	}
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
