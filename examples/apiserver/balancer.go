package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// balance hands each connection to listener to the next of backends that takes it, until
// ctx is done.
func balance(ctx context.Context, listener net.Listener, backends []string) {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var next atomic.Uint64
	var open sync.WaitGroup
	defer open.Wait()
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		open.Go(func() {
			defer func() { _ = client.Close() }()
			for range backends {
				backend, err := (&net.Dialer{}).DialContext(ctx, "tcp", backends[next.Add(1)%uint64(len(backends))])
				if err == nil {
					pipe(ctx, client, backend)
					return
				}
			}
		})
	}
}

// pipe copies in both directions until one ends, or ctx is done.
func pipe(ctx context.Context, a, b net.Conn) {
	closeBoth := sync.OnceFunc(func() { _, _ = a.Close(), b.Close() })
	defer context.AfterFunc(ctx, closeBoth)()
	defer closeBoth()
	var copies sync.WaitGroup
	copies.Go(func() { defer closeBoth(); _, _ = io.Copy(a, b) })
	copies.Go(func() { defer closeBoth(); _, _ = io.Copy(b, a) })
	copies.Wait()
}
