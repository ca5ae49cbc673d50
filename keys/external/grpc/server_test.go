package externalgrpc_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
	externalgrpc "github.com/kubesa/serviceaccount/keys/external/grpc"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// serve serves service until the test ends or stop is called, which returns what Serve
// has returned.
func serve(t *testing.T, endpoint string, service external.Service) (client *externalgrpc.Client, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- externalgrpc.Serve(ctx, endpoint, service) }()
	stop = func() error {
		cancel()
		err := <-served
		served <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	client, err := externalgrpc.Dial(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, stop
}

func newService(t *testing.T, ring *keyring.Ring) *external.Server {
	t.Helper()
	service, err := external.NewServer(external.ServerConfig{Signer: ring, Keys: ring, MaxTokenLifetime: ring.MaxTokenLifetime()})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func newRing(t *testing.T) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.Add(t.Context(), key)
	if err == nil {
		err = ring.Promote(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// KEY-40..47, over a socket.
func TestServe(t *testing.T) {
	endpoint := filepath.Join(t.TempDir(), "s")
	// What a process that was killed leaves behind.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: endpoint, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()

	ring := newRing(t)
	client, stop := serve(t, endpoint, newService(t, ring))
	signer, err := external.NewSigner(external.SignerConfig{Service: waiting{client}})
	if err == nil {
		err = signer.WaitForKeys(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(t.Context(), []byte(`{"sub":"a"}`))
	if err != nil || strings.Count(token, ".") != 2 {
		t.Fatalf("Sign() = %q, %v", token, err)
	}
	if life, err := client.MaxTokenLifetime(t.Context()); err != nil || life != 365*24*time.Hour {
		t.Errorf("MaxTokenLifetime() = %v, %v, want the ring's year", life, err)
	}
	if info, err := os.Stat(endpoint); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v, want one for this user alone", info.Mode(), err)
	}
	if err := externalgrpc.Serve(t.Context(), endpoint, newService(t, ring)); err == nil || !strings.Contains(err.Error(), "another process serves it") {
		t.Errorf("a second Serve() = %v, want an error", err)
	}
	if _, _, err := client.Sign(t.Context(), "!"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Sign() of bad claims: %v, want InvalidArgument", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve() = %v after its context ended", err)
	}
	if left, err := os.ReadDir(filepath.Dir(endpoint)); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// A waiting service waits for the server to start.
type waiting struct{ *externalgrpc.Client }

func (w waiting) FetchKeys(ctx context.Context) (*external.Keys, error) {
	for {
		fetched, err := w.Client.FetchKeys(ctx)
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			return fetched, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestServeRefuses(t *testing.T) {
	ring := newRing(t)
	for _, endpoint := range []string{"", "@a/b", "@", filepath.Join(t.TempDir(), "none", "s"), filepath.Join(t.TempDir(), strings.Repeat("s", 200))} {
		if err := externalgrpc.Serve(t.Context(), endpoint, newService(t, ring)); err == nil {
			t.Errorf("Serve(%q) = nil, want an error", endpoint)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := externalgrpc.Serve(ended, filepath.Join(t.TempDir(), "s"), newService(t, ring)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Serve() after the end = %v", err)
	}
	if err := externalgrpc.Serve(t.Context(), file, newService(t, ring)); err == nil {
		t.Error("Serve() replaces a file that is no socket")
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file has %q, %v", data, err)
	}
}

// A badService does as it is told.
type badService struct {
	err   error
	panic bool
}

func (s badService) fail() error {
	if s.panic {
		panic("secret")
	}
	return s.err
}

func (s badService) Sign(context.Context, string) (string, string, error) { return "", "", s.fail() }

func (s badService) FetchKeys(context.Context) (*external.Keys, error) { return nil, s.fail() }

func (s badService) MaxTokenLifetime(context.Context) (time.Duration, error) { return 0, s.fail() }

func TestServeErrors(t *testing.T) {
	for _, tt := range []struct {
		service badService
		code    codes.Code
	}{
		{badService{panic: true}, codes.Internal},
		{badService{err: keys.ErrNoSigningKey}, codes.FailedPrecondition},
		{badService{err: external.ErrBadClaims}, codes.InvalidArgument},
		{badService{err: context.Canceled}, codes.Canceled},
		{badService{err: context.DeadlineExceeded}, codes.DeadlineExceeded},
		{badService{err: errors.New("the device is busy")}, codes.Unavailable},
		{badService{err: status.Error(codes.PermissionDenied, "no")}, codes.PermissionDenied},
	} {
		s, err := externalgrpc.NewServer(tt.service)
		if err != nil {
			t.Fatal(err)
		}
		_, signErr := s.Sign(t.Context(), nil)
		_, fetchErr := s.FetchKeys(t.Context(), nil)
		_, metaErr := s.Metadata(t.Context(), nil)
		for _, err := range []error{signErr, fetchErr, metaErr} {
			if status.Code(err) != tt.code || strings.Contains(err.Error(), "secret") {
				t.Errorf("%+v: %v, want code %v", tt.service, err, tt.code)
			}
		}
	}
}

// KEY-42: a key that isn't to be published says so.
func TestServerKeys(t *testing.T) {
	s, err := externalgrpc.NewServer(keysService{external.Key{ID: "a"}, external.Key{ID: "b", ExcludeFromDiscovery: true}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.FetchKeys(t.Context(), nil)
	if err != nil || len(answer.Keys) != 2 || answer.Keys[0].ExcludeFromOidcDiscovery || !answer.Keys[1].ExcludeFromOidcDiscovery {
		t.Errorf("FetchKeys() = %v, %v, want the second key excluded from discovery", answer, err)
	}
}

// A keysService has keys, and signs nothing.
type keysService []external.Key

func (keysService) Sign(context.Context, string) (string, string, error) { return "", "", nil }

func (s keysService) FetchKeys(context.Context) (*external.Keys, error) {
	return &external.Keys{Keys: s}, nil
}

func (keysService) MaxTokenLifetime(context.Context) (time.Duration, error) { return 0, nil }

func TestNewServerRefuses(t *testing.T) {
	for _, service := range []external.Service{nil, (*external.Server)(nil)} {
		s, err := externalgrpc.NewServer(service)
		if e, ok := errors.AsType[*externalgrpc.ConfigError](err); !ok || e.Field != "service" || s != nil {
			t.Errorf("NewServer(%T) = %v, want a ConfigError", service, err)
		}
		err = externalgrpc.Serve(t.Context(), "", service)
		if _, ok := errors.AsType[*externalgrpc.ConfigError](err); !ok || !strings.Contains(err.Error(), "no endpoint") {
			t.Errorf("Serve(%T) = %v, want both mistakes", service, err)
		}
	}
}
