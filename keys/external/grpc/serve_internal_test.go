package externalgrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// A broken listener has one connection, and no other.
type broken struct {
	net.Listener // which says its address
	conn         net.Conn
}

func (b *broken) Accept() (net.Conn, error) {
	if conn := b.conn; conn != nil {
		b.conn = nil
		return conn, nil
	}
	return nil, errors.New("too many open files")
}

// A listener that fails ends the server, and the connections that there are.
func TestServeBrokenListener(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		go io.WriteString(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		_, err := io.Copy(io.Discard, client)
		ended <- err
	}()
	if err := serve(t.Context(), grpc.NewServer(), &broken{listener, server}); err == nil || !strings.HasSuffix(err.Error(), listener.Addr().String()+"\": too many open files") {
		t.Errorf("serve() = %v, want the error of the listener", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the connection ends with %v", err)
	}
}

// A pipes listener has connections without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// A hung service signs when it is released, whatever its context.
type hung struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	called, release chan struct{}
}

func (h hung) Sign(context.Context, *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	close(h.called)
	<-h.release
	return &externaljwtv1.SignJWTResponse{}, nil
}

// A call that hangs has five seconds to end.
func TestServeHungCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s, service := grpc.NewServer(), hung{called: make(chan struct{}), release: make(chan struct{})}
		externaljwtv1.RegisterExternalJWTSignerServer(s, service)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serve(ctx, s, listener) }()
		conn, err := grpc.NewClient("passthrough:///pipes", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				server, client := net.Pipe()
				select {
				case listener.conns <- server:
					return client, nil
				case <-listener.closed:
					return nil, net.ErrClosed
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		called := make(chan error, 1)
		go func() {
			_, err := externaljwtv1.NewExternalJWTSignerClient(conn).Sign(t.Context(), &externaljwtv1.SignJWTRequest{})
			called <- err
		}()
		<-service.called
		start := time.Now()
		cancel()
		if err := <-called; status.Code(err) != codes.Unavailable || time.Since(start) != 5*time.Second {
			t.Errorf("Sign() = %v after %v, want it cut off after 5 s", err, time.Since(start))
		}
		if err := <-served; err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("serve() = %v after %v, want it over after 5 s", err, time.Since(start))
		}
		conn.Close()
		close(service.release)
	})
}

// A context that is done before the server begins is no error.
func TestServeEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	listener := &pipes{closed: make(chan struct{})}
	if err := serve(ctx, grpc.NewServer(), listener); err != nil {
		t.Errorf("serve() = %v", err)
	}
	<-listener.closed
}
